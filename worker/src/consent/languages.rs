//! The words of each language, and what a customer is told.
//!
//! A word is here if it can hardly be meant otherwise when it is all that somebody writes. `cancel`, `end` and `quit`,
//! which carriers take for it, are missing: to a shop they are about an order. `STOP` and `START` work in every language.

/// One language.
#[derive(Debug)]
pub(super) struct Language {
    /// ISO 639-1.
    pub(super) code: &'static str,
    /// No more messages.
    pub(super) stop: &'static [&'static str],
    /// Messages again. They count only where there are none, so they may be everyday words.
    pub(super) start: &'static [&'static str],
    /// That there will be no more, and how to go back.
    pub(super) stopped: &'static str,
    /// That there will be messages again, and how to end them.
    pub(super) started: &'static str,
}

pub(super) const ENGLISH: Language = Language {
    code: "en",
    stop: &["stop", "stop all", "stopall", "stop messages", "unsubscribe", "opt out", "optout"],
    start: &["start", "unstop", "opt in", "optin", "subscribe", "resume"],
    stopped: "You will get no more messages from us here. Write START if you would like to hear from us again.",
    started: "Welcome back! We answer you here again. Write STOP if you would like no more messages.",
};

/// All of them.
pub(super) const LANGUAGES: &[Language] = &[
    ENGLISH,
    Language {
        code: "es",
        stop: &["stop", "baja", "darme de baja", "dar de baja", "no más mensajes", "cancelar suscripción"],
        start: &["start", "alta", "darme de alta", "reanudar", "empezar"],
        stopped: "No recibirá más mensajes nuestros aquí. Escriba START si desea volver a saber de nosotros.",
        started: "¡Qué bueno tenerle de vuelta! Volvemos a responderle aquí. Escriba STOP si no desea más mensajes.",
    },
    Language {
        code: "de",
        stop: &["stop", "stopp", "abmelden", "abbestellen", "keine nachrichten mehr"],
        start: &["start", "starten", "anmelden", "weiter"],
        stopped: "Sie bekommen hier keine Nachrichten mehr von uns. Schreiben Sie START, wenn Sie wieder von uns hören \
                  möchten.",
        started: "Willkommen zurück! Wir antworten Ihnen hier wieder. Schreiben Sie STOP, wenn Sie keine Nachrichten \
                  mehr möchten.",
    },
    Language {
        code: "fr",
        stop: &["stop", "arrêt", "désabonner", "me désabonner", "désabonnement", "désinscrire", "désinscription"],
        start: &["start", "reprendre", "reprise", "commencer", "abonner"],
        stopped: "Vous ne recevrez plus de messages de notre part ici. Écrivez START si vous souhaitez à nouveau avoir \
                  de nos nouvelles.",
        started: "Heureux de vous retrouver ! Nous vous répondons de nouveau ici. Écrivez STOP si vous ne voulez plus \
                  de messages.",
    },
    Language {
        code: "pt",
        stop: &["stop", "parar", "pare", "sair", "descadastrar", "cancelar inscrição", "cancelar subscrição"],
        start: &["start", "começar", "iniciar", "voltar", "retomar"],
        stopped: "Você não receberá mais mensagens nossas aqui. Escreva START se quiser voltar a falar conosco.",
        started: "Que bom ter você de volta! Voltamos a responder aqui. Escreva STOP se não quiser mais mensagens.",
    },
    Language {
        code: "it",
        stop: &["stop", "disiscrivimi", "annulla iscrizione", "cancella iscrizione", "niente più messaggi"],
        start: &["start", "inizia", "riprendi", "iscrivimi"],
        stopped: "Qui non riceverà più messaggi da noi. Scriva START se desidera di nuovo nostre notizie.",
        started: "Bentornato! Le rispondiamo di nuovo qui. Scriva STOP se non desidera più messaggi.",
    },
    Language {
        code: "nl",
        stop: &["stop", "afmelden", "uitschrijven", "geen berichten meer"],
        start: &["start", "starten", "aanmelden", "hervatten"],
        stopped: "U krijgt hier geen berichten meer van ons. Schrijf START als u weer van ons wilt horen.",
        started: "Welkom terug! We antwoorden u hier weer. Schrijf STOP als u geen berichten meer wilt.",
    },
    Language {
        code: "pl",
        stop: &["stop", "wypisz", "wypisz mnie", "zrezygnuj"],
        start: &["start", "zapisz mnie", "wznów"],
        stopped: "Nie będziemy już tutaj do Państwa pisać. Aby znów otrzymywać wiadomości, proszę napisać START.",
        started: "Witamy ponownie! Znów tu odpowiadamy. Aby nie otrzymywać więcej wiadomości, proszę napisać STOP.",
    },
    Language {
        code: "sv",
        stop: &["stop", "stopp", "avregistrera", "avsluta prenumeration"],
        start: &["start", "starta"],
        stopped: "Du får inga fler meddelanden från oss här. Skriv START om du vill höra från oss igen.",
        started: "Välkommen tillbaka! Vi svarar dig här igen. Skriv STOP om du inte vill ha fler meddelanden.",
    },
    Language {
        code: "da",
        stop: &["stop", "afmeld", "afmeld mig"],
        start: &["start", "tilmeld", "tilmeld mig"],
        stopped: "Du får ikke flere beskeder fra os her. Skriv START, hvis du vil høre fra os igen.",
        started: "Velkommen tilbage! Vi svarer dig her igen. Skriv STOP, hvis du ikke vil have flere beskeder.",
    },
    Language {
        code: "no",
        stop: &["stop", "stopp", "meld meg av"],
        start: &["start", "meld meg på"],
        stopped: "Du får ikke flere meldinger fra oss her. Skriv START hvis du vil høre fra oss igjen.",
        started: "Velkommen tilbake! Vi svarer deg her igjen. Skriv STOP hvis du ikke vil ha flere meldinger.",
    },
    Language {
        code: "tr",
        stop: &["stop", "dur", "abonelikten çık", "mesaj istemiyorum"],
        start: &["start", "başla", "devam"],
        stopped: "Buradan size artık mesaj göndermeyeceğiz. Yeniden yazmamızı isterseniz START yazın.",
        started: "Tekrar hoş geldiniz! Size buradan yeniden yanıt veriyoruz. Mesaj istemiyorsanız STOP yazın.",
    },
    Language {
        code: "ru",
        stop: &["stop", "стоп", "отписаться", "отписка"],
        start: &["start", "старт", "подписаться", "начать"],
        stopped: "Мы больше не будем писать вам здесь. Напишите START, если захотите снова получать ответы.",
        started: "С возвращением! Мы снова отвечаем вам здесь. Напишите STOP, если больше не хотите сообщений.",
    },
];
