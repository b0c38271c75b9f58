//! Words that tell nothing of what is asked: they are in every text of their language.
//!
//! Articles, pronouns, prepositions, conjunctions, forms of "to be", "to have", "to do" and of the modal verbs, and words
//! that ask. Nothing that a business's text may be about. Their marks do not count: `el` is also `él`.

/// The words of a language, by MongoDB's name; none where words are searched as they are.
pub(super) fn ignored(language: &str) -> &'static str {
    let found = LANGUAGES.iter().find(|(name, _)| *name == language);
    found.map_or("", |(_, words)| words)
}

const LANGUAGES: &[(&str, &str)] = &[
    (
        "danish",
        "ad af alle alt anden at blev blive bliver da de dem den denne der deres det dette dig din disse dog du efter \
         eller en end er et for fra ham han hans har havde have hej hende hendes her hos hun hvad hvem hvis hvor hvordan \
         hvornår i ikke ind jeg jer jeres jo kan kunne man mange med meget men mig min mine mit mod må når ned noget \
         nogle nogen nu og også om op os over på sig sin sine sit skal skulle som sådan thi til ud under var vi vil \
         ville vor være været",
    ),
    (
        "dutch",
        "aan al alles als altijd andere ben bij daar dan dat de der deze die dit doch doen door dus een en er ge geen \
         geweest haar had heb hebben heeft hem het hier hij hoe hun iemand iets ik in is ja je jij jou jouw jullie kan \
         kon kunnen kunt maar me meer men met mij mijn moet moeten mogen naar na niet niets nog nu of om omdat onder ons \
         onze ook op over reeds te tegen toch toen tot u uit uw van veel voor waar wanneer want waren was wat we wel werd \
         wezen welke wie wij wil willen worden wordt zal ze zelf zich zij zijn zo zonder zou zullen",
    ),
    (
        "english",
        "a about above after again all also am an and any are aren as at be because been before being below between both \
         but by can could couldn d did didn do does doesn doing don down during each few for from further had hadn has \
         hasn have haven having he her here hers herself him himself his how i if in into is isn it its itself just ll m \
         me might more most must my myself no nor not now of off on once only or other our ours ourselves out over \
         own re s same shall she should shouldn so some such t than that the their theirs them themselves then there \
         these they this those through to too under until up us ve very was wasn we were weren what when where which \
         while who whom why will with won would wouldn you your yours yourself yourselves",
    ),
    (
        "finnish",
        "ei eivät emme en et ette että hän häneen hänellä hänen häntä he heidän heille heitä hänelle ja jo joka joita \
         joka jolla jos jossa jotka jotta kanssa keitä kenen ketkä kuin kuinka kuka kun me meidän meille meitä mihin \
         mikä miksi millä milloin minä minun minulla minulle minua missä mistä mitä mitkä mukaan mutta myös ne niiden \
         niin niitä no noin nuo nyt oli olin olit olla olemme olen olet olette olivat olisi ollut on onko ovat saa \
         saako se sekä sen siinä sille sillä sinä sinun sinulla sinulle sinua sitä siis sitten tai te teidän teille \
         teillä teitä tämä tämän tässä tätä tuo tuon vaan vai vaikka voi voiko voin voitte ja",
    ),
    (
        "french",
        "a ai aie as au aura aux avaient avais avait avec avez avoir avons c ce cela ces cet cette ceux comme comment d \
         dans de des donc dont du elle elles en es est et étaient étais était étant êtes être eu eux fait faire furent \
         fut il ils j je l la le les leur leurs lors lui m ma mais me même mes moi mon n ne ni nos notre nous on ont ou \
         où par pas peut peuvent peux plus pour pourquoi pouvez puis qu quand que quel quelle quelles quels qui quoi s \
         sa sans se sera serait ses si soit sommes son sont suis sur t ta te tes toi ton tous tout toute toutes très tu \
         un une vos votre vous y",
    ),
    (
        "german",
        "aber alle allem allen aller alles als also am an auch auf aus bei beim bin bis bist da damit dann das dass daß \
         dein deine deinem deinen deiner dem den denn der des dessen deren dich die dies diese diesem diesen dieser \
         dieses dir doch dort du durch ein eine einem einen einer eines er es etwas euch euer eure für gibt hab habe \
         haben habt hast hat hatte hatten hier ich ihm ihn ihnen ihr ihre ihrem ihren ihrer im in ins ist ja jede jedem \
         jeden jeder jedes jetzt kann kannst können könnt könnte könnten man mein meine meinem meinen meiner mich mir mit \
         muss müssen musst nach nicht nichts noch nun nur ob oder ohne sehr sein seine seinem seinen seiner seit sich sie \
         sind so soll sollen sollte sollten über um und uns unser unsere unserem unseren unserer unter vom von vor wann \
         war waren warum was weil welche welchem welchen welcher welches wenn wer werde werden werdet wie wieder will \
         wir wird wo wollen wollt worden wurde wurden würde würden zu zum zur zwischen",
    ),
    (
        "hungarian",
        "a ahogy ahol aki akik akkor amely amelyek ami amikor annak arra arról az azok azon azonban azt azzal be csak de \
         e egy egyik el elő én ennek erre és ez ezek ezen ezt ezzel fel ha hanem hogy hogyan hol honnan hova igen így \
         illetve is itt kell ki kik le legyen lehet lenne lesz maga már majd meg melyek mely mert mi miért mikor milyen \
         mint mit minden most nagyon ne nekem neki nem nincs ő ők olyan ön önök össze ott pedig rá s saját sem sok szerint \
         te tehát ti továbbá tud tudok úgy vagy vagyok vagyunk valaki valami van vannak vele vissza volna volt voltak",
    ),
    (
        "italian",
        "a abbia abbiamo abbiano ad agli ai al alla alle allo anche avere avete aveva avevano avevo c che chi ci come con \
         contro cosa cui d da dagli dai dal dalla dalle dallo degli dei del dell della delle dello di dove e è era erano \
         eravamo ero essere fa fare fanno fra gli ha hai hanno ho i il in io l la le lei li lo loro lui ma mi mia mie \
         miei mio ne negli nei nel nell nella nelle nello noi non nostra nostre nostri nostro o per perché più può \
         possiamo posso possono puoi potete qual quale quali quando quanta quante quanti quanto quella quelle quelli \
         quello questa queste questi questo s se sei si sia siamo siano siete sono sta stanno su sua sue sugli sui sul \
         sulla sulle sullo suo suoi te ti tra tu tua tue tuo tuoi tutti tutto un una uno vi voi vostra vostre vostri \
         vostro",
    ),
    (
        "norwegian",
        "alle at av bare begge ble blei bli blir både da de deg dei deim deira dem den denne der dere deres det dette di \
         din disse ditt du dykk eg ei ein eit eitt eller en enn er et ett etter for fordi fra før ha hadde han hans har \
         henne hennes her hun hva hvem hver hvilke hvilken hvis hvor hvordan hvorfor hvornår ho i ikke ikkje inn ja jeg \
         kan kunne korleis kva kven kor man mange me med meg mellom men mer mi min mitt mot må mye ned no noe noen når nå \
         og også om opp oss over på seg selv si sia sin sine sitt skal skulle slik som så sånn til um under upp ut uten \
         var vart ved vi vil ville vår være vært å",
    ),
    (
        "portuguese",
        "a à ao aos aquela aquelas aquele aqueles aquilo as às até com como da das de dela delas dele deles depois do dos \
         e é ela elas ele eles em entre era eram essa essas esse esses esta está estão estamos estas estava estavam este \
         estes estou eu faz fazem fazer foi foram há isso isto já lhe lhes mais mas me mesmo meu meus minha minhas muito na \
         nas não nem no nos nós nossa nossas nosso nossos num numa o onde os ou para pela pelas pelo pelos pode podem \
         podemos posso por porque pra qual quais quando quanto quantos quanta quantas que quem são se seja sem ser será \
         seu seus só somos sou sua suas também te tem têm temos tenho ter teu teus tinha tu tua tuas um uma uns umas você \
         vocês vos",
    ),
    (
        "romanian",
        "a acea aceasta această aceea aceia acel acela acele acelea acest acesta aceste acestea acești aceștia acestui \
         acolo ai aia al ale am ar are aș asta ați atunci au avea avem aveți ca că când care cât câte câți ce cei cel cele \
         chiar cine cu cum cumva da dacă dar de deci deja despre din doar după e ea ei el ele era este eu face fac faceți \
         fi fie fiind fost iar îi îl îmi în încă își îți la le li lor lui mai mă mea mei mele meu mi mie n ne ni nici \
         noastre noastră noi nostru noștri nu o or ori pe pentru pot poate puteți prin s sa să sale sau se și sînt sunt \
         spre sub ta tale te ți ție toate tot toți tu un una unde unei unele unii unor unui vă voi vor vom vostru voastră \
         vi",
    ),
    (
        "russian",
        "а без более бы был была были было быть в вам вами вас ваш ваша ваше ваши весь во вот все всего всех всё вы где да \
         даже для до его ее её если есть еще ещё же за здесь и из или им ими их к как какая какие какой когда кого которая \
         которые который кто куда ли между меня мне много может могу можете можно мой моя мы на над надо нам нами \
         нас наш наша наше наши не него нее неё нет ни них но ну о об он она они оно от очень по под при с со сам свою \
         себе себя сейчас сколько так также такой там тебе тебя тем то того тоже той только том тот ту ты у уже хотя чего \
         чем через что чтобы эта эти это этого этой этом этот эту я",
    ),
    (
        "spanish",
        "a al algo algunas algunos ante antes aquel aquella como con contra cual cuales cuando cuanta cuantas cuanto \
         cuantos de del desde donde durante e el ella ellas ellos en entre era eran eres es esa esas ese eso esos esta \
         están estaba estamos estar estas este esto estos estoy fue fueron ha haber había hace hacen hacer hacia \
         han has hasta hay he hemos la las le les lo los más me mi mis mí mía mucho muchos muy nada ni no nos nosotros \
         nuestra nuestras nuestro nuestros o os otra otro otros para pero poco por porque puede pueden puedo podemos pues \
         que quien quienes se sea según ser será si sido sin sobre somos son soy su sus suya también tan tanto te tenemos \
         tengo tener tiene tienen ti todo todos tu tus un una uno unos unas usted ustedes vosotros vuestra vuestro y ya yo",
    ),
    (
        "swedish",
        "alla allt att av bara blev bli blir blivit både då de dem den denna deras dess dessa det detta dig din dina ditt \
         du där efter ej eller en er era ert ett finns från för ha hade han hans har henne hennes hej hon honom hos hur här \
         i icke in ingen inom inte ja jag kan kunde man med mellan men mig min mina mitt mot mycket måste ni nu någon något \
         några när och också om oss på samma sedan sig sin sina sitt själv ska skall skulle som så sådan till under upp ut \
         utan vad var vara varför varit vart vem vi vid vilka vilken vilket vill våra vår vårt är åt än över",
    ),
    (
        "turkish",
        "acaba ama ancak artık aslında az bana bazı belki ben benden beni benim bile bir biraz biri birkaç birçok biz \
         bizden bize bizi bizim böyle bu buna bunda bundan bunlar bunları bunların bunu bunun burada çok çünkü da daha de \
         defa değil diğer diye en fakat gibi hala hangi hani hem hep hepsi her herkes hiç için ile ise işte kadar kez ki \
         kim kime kimin kimse mi mı mu mü mıdır midir nasıl ne neden nedir nerede nereye niçin niye o olan olarak oldu \
         olduğu olur olmak ona ondan onlar onlara onlardan onları onların onu onun orada öyle rağmen sana sen senden seni \
         senin siz sizden size sizi sizin şey şimdi şöyle şu şuna şunu tüm üzere var vardır ve veya ya yani yok yoksa",
    ),
];
