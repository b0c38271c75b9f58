//! One correct trace, and what becomes of it by one deliberate fault at a time: each is caught under the promise that
//! it breaks, and under no other.

use simulator::{
    Tag,
    checker::{ChatLimits, Fairness, Report, Rule, Scenario, judge},
    journal::{Credential, Decision, Entry, Event, GraphSend},
};

use super::{
    broken, sends,
    trace::{ANA, APOLOGY, BEA, Trace, answer_to, message, prompt, scenario},
};

/// Ana writes to both numbers of acme and to corn, whose AI fails; Bea writes to acme twice in one body, and to bolt,
/// which answers at length in two sends.
fn base() -> Trace {
    let mut trace = Trace::default();
    trace.write("1001", ANA, 1, "hello");
    let first = trace.chat("1001", &[], "#m000001 hello");
    trace.answer("1001", ANA, &first);
    let memory = [("user", "#m000001 hello".to_owned()), ("assistant", first)];

    trace.write("1001", ANA, 2, "told-by-ana");
    trace.write("2002", BEA, 3, "please be long");
    let second = trace.chat("1001", &memory, "#m000002 told-by-ana");
    let long = trace.chat("2002", &[], "#m000003 please be long");
    let (beginning, end) = long.split_at(long.find("ANS #m000003.6").expect("nine paragraphs"));
    trace.answer("2002", BEA, beginning.trim_end());
    trace.answer("1001", ANA, &second);
    trace.answer("2002", BEA, end);

    let both =
        [(4, "one"), (5, "two")].map(|(tag, words)| message_with(tag, "1001", BEA, &format!("{} {words}", Tag(tag))));
    trace.post(&both, Some(200));
    trace.write("1002", ANA, 6, "at the other number");
    let both = trace.chat("1001", &[], "#m000004 one\n#m000005 two");
    trace.answer("1001", BEA, &both);
    let other = trace.chat("1002", &memory, "#m000006 at the other number");
    trace.answer("1002", ANA, &other);

    trace.write("3003", ANA, 7, "is anybody there?");
    let asked = trace.ask(&prompt("3003", &[], "#m000007 is anybody there?"));
    trace.reply(asked, Some(503), None);
    trace.answer("3003", ANA, APOLOGY);
    trace.write("3003", ANA, 8, "hello?");
    let last = trace.chat("3003", &[], "#m000008 hello?");
    trace.answer("3003", ANA, &last);
    trace
}

fn message_with(tag: u64, number: &str, customer: &str, text: &str) -> simulator::journal::Update {
    message(number, customer, &format!("wamid.{tag}"), Some(text))
}

/// Says of a send whether it is the one whose text begins like this.
fn begins(text: &'static str) -> impl Fn(&GraphSend) -> bool {
    move |send| send.text().is_some_and(|own| own.starts_with(text))
}

fn place(trace: &Trace, is: impl Fn(&GraphSend) -> bool) -> usize {
    *sends(&trace.entries, is).first().expect("a send of the trace")
}

fn send(trace: &mut Trace, is: impl Fn(&GraphSend) -> bool) -> &mut GraphSend {
    let place = place(trace, is);
    let Event::GraphSend(send) = &mut trace.entries[place].fact else { panic!("only sends were looked for") };
    send
}

/// The place of the first entry of which this is true.
fn first(trace: &Trace, is: impl Fn(&Event) -> bool) -> usize {
    trace.entries.iter().position(|entry| is(&entry.fact)).expect("an entry of the trace")
}

fn remove(trace: &mut Trace, is: impl Fn(&GraphSend) -> bool) {
    let place = place(trace, is);
    trace.entries.remove(place);
}

/// Everything that happens from now on happens before this place.
fn insert(trace: &mut Trace, place: usize, happens: impl FnOnce(&mut Trace)) {
    let rest = trace.entries.split_off(place);
    happens(trace);
    trace.entries.extend(rest);
}

/// The answer to message 1 is accepted again right after it was accepted, with what happens between the two.
fn repeat_first(trace: &mut Trace, between: impl FnOnce(&mut Trace)) {
    let place = place(trace, begins("ANS #m000001"));
    insert(trace, place + 1, |trace| {
        between(trace);
        trace.send("1001", ANA, "ANS #m000001", Decision::Accepted);
    });
}

/// The two statuses of the answer to message 1 come to this.
fn first_statuses(trace: &mut Trace, mut become_this: impl FnMut(&mut Trace, usize, &str)) {
    let wamid = send(trace, begins("ANS #m000001")).wamid.clone().expect("accepted");
    for status in ["sent", "delivered"] {
        let is = |event: &Event| {
            matches!(event, Event::WebhookPost(post)
                if post.updates.iter().any(|u| u.id == wamid && u.status.as_deref() == Some(status)))
        };
        let place = first(trace, is);
        become_this(trace, place, status);
    }
}

fn withhold_first_statuses(trace: &mut Trace) {
    let wamid = send(trace, begins("ANS #m000001")).wamid.clone().expect("accepted");
    first_statuses(trace, |trace, place, status| {
        trace.entries.drain(place..place + 2);
        insert(trace, place, |trace| trace.withhold(&wamid, status));
    });
}

fn fail_status_post(trace: &mut Trace, place: usize) {
    if let Event::WebhookAnswer(answer) = &mut trace.entries[place + 1].fact {
        answer.http = Some(503);
    }
}

/// The place of the first chat request whose newest words hold this.
fn chat(trace: &Trace, words: &str) -> usize {
    let newest = |event: &Event| {
        matches!(event, Event::AiRequest(request) if request.body["messages"].as_array()
            .and_then(|messages| messages.last()?["content"].as_str())
            .is_some_and(|content| content.contains(words)))
    };
    first(trace, newest)
}

fn say_in_prompt(trace: &mut Trace, words: &str, more: &str) {
    let place = chat(trace, words);
    if let Event::AiRequest(request) = &mut trace.entries[place].fact {
        let system = request.body["messages"][0]["content"].as_str().expect("a system prompt").to_owned();
        request.body["messages"][0]["content"] = format!("{system} {more}").into();
    }
}

/// The same chat again, answered with 200.
fn ask_again(trace: &mut Trace, number: &str, said: &str) {
    trace.chat(number, &[], said);
}

struct Mutation {
    name: &'static str,
    make: fn(&mut Trace, &mut Scenario),
    breaks: &'static [Rule],
    residual: usize,
}

const fn breaks(name: &'static str, breaks: &'static [Rule], make: fn(&mut Trace, &mut Scenario)) -> Mutation {
    Mutation { name, make, breaks, residual: 0 }
}

const fn is_residual(name: &'static str, make: fn(&mut Trace, &mut Scenario)) -> Mutation {
    Mutation { name, make, breaks: &[], residual: 1 }
}

fn judged(mutation: &Mutation) -> Report {
    let (mut trace, mut scenario) = (base(), scenario());
    (mutation.make)(&mut trace, &mut scenario);
    trace.restamp();
    judge(&trace.entries, &scenario)
}

const LOSS: &[Mutation] = &[
    breaks("an answer is left out", &[Rule::Loss], |trace, _| remove(trace, begins("ANS #m000001"))),
    breaks("an answer was refused and given up", &[Rule::Loss], |trace, _| {
        let send = send(trace, begins("ANS #m000001"));
        (send.decision, send.wamid, send.code) = (Decision::Refused, None, Some(131_026));
    }),
    breaks("the last pieces of a long answer are missing", &[Rule::Loss], |trace, _| {
        remove(trace, begins("ANS #m000003.6"));
    }),
    breaks("the first pieces of a long answer are missing", &[Rule::Loss], |trace, _| {
        remove(trace, begins("ANS #m000003.1"));
    }),
    breaks("a piece is missing in the middle of a send", &[Rule::Loss], |trace, _| {
        let send = send(trace, begins("ANS #m000003.1"));
        let text = send.text().expect("words").replace("#m000003.2", "");
        send.body["text"]["body"] = text.into();
    }),
    breaks("an answer names one of two messages", &[Rule::Loss], |trace, _| {
        send(trace, begins("ANS #m000004")).body["text"]["body"] = "ANS #m000004".into();
    }),
    breaks("the same wamid at another business's number is taken for a duplicate", &[Rule::Loss], |trace, _| {
        trace.post(&[message_with(1, "2002", ANA, "#m000001 hello")], Some(200));
    }),
    breaks("a message comes again under another id and is not answered", &[Rule::Loss], |trace, _| {
        trace.post(&[message_with(99, "1001", ANA, "#m000001 hello")], Some(200));
    }),
    breaks("an apology came before the message", &[Rule::Loss], |trace, _| trace.write("3003", ANA, 9, "again")),
    breaks("a message is excused with a reason that is not allowed", &[Rule::Loss], |trace, scenario| {
        remove(trace, begins("ANS #m000001"));
        *scenario = scenario.clone().excusing(Tag(1), "poison").allowing("window_closed");
    }),
];

const DUPLICATE: &[Mutation] = &[
    breaks("an answer is sent again", &[Rule::Duplicate], |trace, _| repeat_first(trace, |_| {})),
    breaks("an answer is sent again, much later", &[Rule::Duplicate], |trace, _| {
        trace.answer("1001", ANA, "ANS #m000001");
    }),
    breaks("a piece of a long answer is sent again", &[Rule::Duplicate], |trace, _| {
        trace.answer("2002", BEA, "ANS #m000003.2");
    }),
    breaks("what was answered in pieces is answered whole as well", &[Rule::Duplicate], |trace, _| {
        trace.answer("2002", BEA, "ANS #m000003");
    }),
    breaks("a message comes again under another id and is answered again", &[Rule::Duplicate], |trace, _| {
        trace.post(&[message_with(99, "1001", ANA, "#m000001 hello once more")], Some(200));
        let again = trace.chat("1001", &[], "#m000001 hello once more");
        trace.answer("1001", ANA, &again);
    }),
    breaks("an apology follows an apology", &[Rule::Duplicate], |trace, _| {
        let place = place(trace, begins(APOLOGY));
        insert(trace, place + 1, |trace| drop(trace.send("3003", ANA, APOLOGY, Decision::AcceptedNoReply)));
    }),
    breaks("a send is repeated though one of its statuses came", &[Rule::Duplicate], |trace, _| {
        repeat_first(trace, |_| {});
        let mut is_first = true;
        first_statuses(trace, |trace, place, _| {
            if std::mem::take(&mut is_first) {
                fail_status_post(trace, place);
            }
        });
    }),
    breaks("a send of which no status was ever to come is repeated", &[Rule::Duplicate], |trace, _| {
        repeat_first(trace, |_| {});
        first_statuses(trace, |trace, place, _| drop(trace.entries.drain(place..place + 2)));
    }),
    // The second is residual, since nothing was known of the first.
    Mutation {
        name: "a third send follows a second whose statuses came",
        make: |trace, _| {
            withhold_first_statuses(trace);
            trace.answer("1001", ANA, "ANS #m000001");
            trace.answer("1001", ANA, "ANS #m000001");
        },
        breaks: &[Rule::Duplicate],
        residual: 1,
    },
    breaks("a process was frozen, but not between the two sends", &[Rule::Duplicate], |trace, scenario| {
        *scenario = scenario.clone().with_freezes("frozen", "thawed");
        repeat_first(trace, |_| {});
        trace.mark("frozen");
        trace.mark("thawed");
    }),
    breaks("a process was frozen that the scenario knows nothing of", &[Rule::Duplicate], |trace, _| {
        repeat_first(trace, |trace| {
            trace.mark("frozen");
            trace.mark("thawed");
        });
    }),
];

const RESIDUAL: &[Mutation] = &[
    is_residual("a send is repeated of which every status was withheld", |trace, _| {
        repeat_first(trace, |_| {});
        withhold_first_statuses(trace);
    }),
    is_residual("a send is repeated of which no status was taken", |trace, _| {
        repeat_first(trace, |_| {});
        first_statuses(trace, |trace, place, _| fail_status_post(trace, place));
    }),
    is_residual("a send is repeated after a process was frozen", |trace, scenario| {
        *scenario = scenario.clone().with_freezes("frozen", "thawed");
        repeat_first(trace, |trace| {
            trace.mark("frozen");
            trace.mark("thawed");
        });
    }),
    is_residual("a frozen process wakes up and sends what another one sent", |trace, scenario| {
        *scenario = scenario.clone().with_freezes("frozen", "thawed");
        insert(trace, 0, |trace| trace.mark("frozen"));
        repeat_first(trace, |trace| trace.mark("thawed"));
    }),
    is_residual("a send is repeated while one of two frozen processes sleeps on", |trace, scenario| {
        *scenario = scenario.clone().with_freezes("frozen", "thawed");
        insert(trace, 0, |trace| ["frozen", "frozen", "thawed"].into_iter().for_each(|name| trace.mark(name)));
        repeat_first(trace, |_| {});
    }),
];

const PHANTOM: &[Mutation] = &[
    // It answers nothing that was there, so the message that came later is unanswered too.
    breaks("an answer comes before the message", &[Rule::Loss, Rule::Phantom], |trace, _| {
        let place = place(trace, begins("ANS #m000001"));
        let early = trace.entries.remove(place);
        trace.entries.insert(0, early);
    }),
    breaks("a message answers nothing", &[Rule::Phantom], |trace, _| trace.answer("1001", ANA, "Anything else?")),
    breaks("a message answers what nobody wrote", &[Rule::Phantom], |trace, _| {
        trace.answer("1001", ANA, "ANS #m000077");
    }),
    breaks("the answer comes from another number of the business too", &[Rule::Phantom], |trace, _| {
        trace.answer("1002", ANA, "ANS #m000001");
    }),
    breaks("an apology to somebody who never wrote", &[Rule::Phantom], |trace, _| {
        trace.answer("3003", BEA, APOLOGY);
    }),
    breaks("two answers to one sticker", &[Rule::Phantom], |trace, _| {
        trace.post(&[message("1001", ANA, "wamid.sticker", None)], Some(200));
        trace.answer("1001", ANA, "ANS");
        trace.answer("1001", ANA, "ANS");
    }),
    breaks("an apology in the words of nobody here", &[Rule::Phantom], |trace, scenario| {
        scenario.businesses.iter_mut().filter(|b| b.name == "corn").for_each(|corn| corn.apologies.clear());
        // Without words that count as an apology, what it covered is lost; another excuse keeps this to one promise.
        *scenario = scenario.clone().excusing(Tag(7), "ai").allowing("ai");
        send(trace, begins(APOLOGY)).body["text"]["body"] = "Sorry.".into();
    }),
];

const ORDER: &[Mutation] = &[
    breaks("the answers to two messages are swapped", &[Rule::Order], |trace, _| {
        // The second one is written before the first is answered, or its answer would be a phantom.
        let (mut trace_with_both, text) = (Trace::default(), ["#m000001 one", "#m000002 two"]);
        trace_with_both.write("1001", ANA, 1, "one");
        trace_with_both.write("1001", ANA, 2, "two");
        let answers = text.map(|text| trace_with_both.chat("1001", &[], text));
        answers.iter().rev().for_each(|answer| trace_with_both.answer("1001", ANA, answer));
        *trace = trace_with_both;
    }),
    breaks("a later message comes between the pieces of an earlier one's answer", &[Rule::Order], |trace, _| {
        let place = place(trace, begins("ANS #m000003.6"));
        insert(trace, place, |trace| {
            trace.write("2002", BEA, 9, "and now?");
            let answer = trace.chat("2002", &[], "#m000009 and now?");
            trace.answer("2002", BEA, &answer);
        });
    }),
    breaks("two messages of one body are answered one by one in the wrong order", &[Rule::Order], |trace, _| {
        let place = place(trace, begins("ANS #m000004"));
        insert(trace, place, |trace| {
            trace.send("1001", BEA, "ANS #m000005", Decision::Accepted);
            trace.send("1001", BEA, "ANS #m000004", Decision::Accepted);
        });
        remove(trace, begins("ANS #m000004 #m000005"));
    }),
    breaks("one answer names two messages of one body in the wrong order", &[Rule::Order], |trace, _| {
        send(trace, begins("ANS #m000004")).body["text"]["body"] = "ANS #m000005 #m000004".into();
    }),
];

const ISOLATION: &[Mutation] = &[
    // Who should have got it did.
    breaks("another customer gets the answer too", &[Rule::Phantom, Rule::Isolation], |trace, _| {
        trace.answer("1001", BEA, "ANS #m000001");
    }),
    breaks("another customer gets the answer instead", &[Rule::Loss, Rule::Phantom, Rule::Isolation], |trace, _| {
        send(trace, begins("ANS #m000001")).to = Some(format!("+{BEA}"));
    }),
    breaks("the answer is refused for another customer", &[Rule::Isolation], |trace, _| {
        trace.send("1001", BEA, "ANS #m000001", Decision::Refused);
    }),
    breaks("the answer comes from another business too", &[Rule::Phantom, Rule::Isolation], |trace, _| {
        trace.answer("2002", ANA, "ANS #m000001");
    }),
    breaks("a request is made with another business's token and refused", &[Rule::Isolation], |trace, _| {
        let sent = trace.entries.len();
        trace.send("1001", ANA, "ANS #m000001", Decision::Refused);
        for entry in &mut trace.entries[sent..] {
            if let Event::GraphRequest(request) = &mut entry.fact {
                request.credential = Credential::Of("bolt".to_owned());
            } else if let Event::GraphSend(send) = &mut entry.fact {
                send.credential = Credential::Of("bolt".to_owned());
            }
        }
    }),
    breaks("a request is made without a token", &[Rule::Isolation], |trace, _| {
        let place = first(trace, |event| matches!(event, Event::GraphRequest(_)));
        if let Event::GraphRequest(request) = &mut trace.entries[place].fact {
            request.credential = Credential::Missing;
        }
    }),
    breaks("the AI is asked with another business's secret", &[Rule::Isolation], |trace, _| {
        say_in_prompt(trace, "#m000001", "canary-of-bolt");
    }),
    breaks("the AI is asked without the business's own secret", &[Rule::Isolation], |trace, _| {
        let place = chat(trace, "#m000001");
        if let Event::AiRequest(request) = &mut trace.entries[place].fact {
            request.body["messages"][0]["content"] = "You write for somebody.".into();
        }
    }),
    breaks("the AI is asked with another customer's secret", &[Rule::Isolation], |trace, _| {
        say_in_prompt(trace, "#m000004", "told-by-ana");
    }),
    breaks("the AI is asked with another customer's message", &[Rule::Isolation], |trace, _| {
        say_in_prompt(trace, "#m000004", "#m000001");
    }),
    breaks(
        "the AI is asked for another business with what a customer told this one",
        &[Rule::Isolation],
        |trace, _| {
            say_in_prompt(trace, "#m000008", "told-by-ana");
        },
    ),
    breaks("the AI is asked about a sticker with two businesses' secrets", &[Rule::Isolation], |trace, _| {
        trace.post(&[message("1001", ANA, "wamid.sticker", None)], Some(200));
        trace.chat("1001", &[("user", "canary-of-bolt".to_owned())], "[The customer sent a sticker.]");
    }),
    breaks("a customer is sent another's secret", &[Rule::Isolation], |trace, _| {
        send(trace, begins("ANS #m000001")).body["text"]["body"] = "ANS #m000001 told-by-bea".into();
    }),
    breaks("a customer is sent another business's secret", &[Rule::Isolation], |trace, _| {
        send(trace, begins("ANS #m000001")).body["text"]["body"] = "ANS #m000001 (canary-of-bolt)".into();
    }),
];

const COST: &[Mutation] = &[
    breaks("the AI is asked thrice", &[Rule::Cost], |trace, _| {
        ask_again(trace, "1001", "#m000001 hello");
        ask_again(trace, "1001", "#m000001 hello");
    }),
    breaks("the AI is asked about one message in ever new company", &[Rule::Cost], |trace, _| {
        for more in ["", "\n#m000005 two!", "\n#m000005 two!!", "\n#m000005 two!!!"] {
            ask_again(trace, "1001", &format!("#m000004 one!{more}"));
        }
    }),
];

#[test]
fn the_trace_without_a_fault_keeps_every_promise() {
    let report = judge(&base().entries, &scenario());
    report.verdict().expect("a correct trace");
    let figures = &report.figures;
    assert_eq!((figures.messages_posted, figures.messages_acknowledged, figures.messages_unjudged), (8, 8, 0));
    assert_eq!((figures.messages_answered, figures.messages_apologised, figures.messages_excused), (7, 1, 0));
    assert_eq!((figures.sends_accepted, figures.sends_refused, report.residual.len()), (8, 0, 0));
    assert_eq!((figures.chats_answered, figures.chats_failed, figures.chats_per_message_most), (6, 1, 1));
    assert!((figures.chats_per_message - 1.0).abs() < 1e-9);
    assert!(figures.answer_time.is_some_and(|time| time.most > time.p50));
}

#[test]
fn each_deliberate_fault_is_caught_under_the_promise_that_it_breaks() {
    let all = [LOSS, DUPLICATE, RESIDUAL, PHANTOM, ORDER, ISOLATION, COST];
    for mutation in all.into_iter().flatten() {
        let report = judged(mutation);
        assert_eq!(broken(&report), mutation.breaks, "{}: {:?}", mutation.name, report.verdict());
        assert_eq!(report.residual.len(), mutation.residual, "{}: {:?}", mutation.name, report.residual);
    }
}

#[test]
fn what_is_allowed_breaks_nothing() {
    let cases = [
        breaks("a message that was never acknowledged is not answered", &[], |trace, _| {
            for http in [Some(503), Some(201), None] {
                trace.post(&[message_with(9, "1001", ANA, "#m000009 hello")], http);
            }
        }),
        breaks("a message is excused with a reason that is allowed", &[], |trace, scenario| {
            remove(trace, begins("ANS #m000001"));
            remove(trace, begins("ANS #m000004"));
            *scenario = scenario.clone().excusing(Tag(1), "poison").excusing("wamid.4", "poison");
            *scenario = scenario.clone().excusing(Tag(5), "poison").allowing("poison");
        }),
        breaks("a post is repeated", &[], |trace, _| {
            for _ in 0..3 {
                trace.post(&[message_with(1, "1001", ANA, "#m000001 hello")], Some(200));
            }
        }),
        breaks("messages on their way together are answered in either order", &[], |trace, _| {
            trace.post(&[message_with(20, "1001", ANA, "#m000020 one")], Some(503));
            trace.write("1001", ANA, 21, "two");
            let later = trace.chat("1001", &[], "#m000021 two");
            trace.answer("1001", ANA, &later);
            trace.post(&[message_with(20, "1001", ANA, "#m000020 one")], Some(200));
            let earlier = trace.chat("1001", &[], "#m000020 one");
            trace.answer("1001", ANA, &earlier);
        }),
        breaks("a revoked token is nobody's", &[], |trace, _| {
            send(trace, begins("ANS #m000001")).credential = Credential::Unknown;
        }),
        breaks("a sticker is answered", &[], |trace, _| {
            trace.post(&[message("1001", ANA, "wamid.sticker", None)], Some(200));
            trace.answer("1001", ANA, "ANS");
        }),
        breaks("a death costs a second call where the scenario allows it", &[], |trace, scenario| {
            *scenario = scenario.clone().with_chats(ChatLimits { per_answer: 2, per_message: 3 });
            ask_again(trace, "1001", "#m000001 hello");
        }),
        breaks("chats that fail or are cut off cost nothing", &[], |trace, _| {
            for http in [Some(500), Some(429), None] {
                let asked = trace.ask(&prompt("1001", &[], "#m000001 hello"));
                trace.reply(asked, http, None);
            }
        }),
        breaks("an apology covers what the AI was asked about before its 200 came", &[], |trace, _| {
            let both = |trace: &mut Trace, http| trace.post(&[message_with(9, "2002", ANA, "#m000009 hello")], http);
            both(trace, None);
            let asked = trace.ask(&prompt("2002", &[], "#m000009 hello"));
            trace.reply(asked, Some(500), None);
            trace.answer("2002", ANA, APOLOGY);
            both(trace, Some(200));
        }),
        breaks("an answer between two apologies", &[], |trace, _| {
            for tag in [9, 10] {
                trace.write("3003", ANA, tag, "hello?");
            }
            trace.answer("3003", ANA, APOLOGY);
        }),
        breaks("one customer with a number and a user id", &[], |trace, _| {
            let mut both = message_with(9, "1001", ANA, "#m000009 hello");
            both.user_id = Some("DE.ana".to_owned());
            let hidden = message_with(10, "1001", "DE.ana", "#m000010 hidden");
            trace.post(&[hidden], Some(200));
            trace.post(&[both], Some(200));
            let body = prompt("1001", &[], "#m000010 hidden\n#m000009 hello");
            let asked = trace.ask(&body);
            trace.reply(asked, Some(200), Some(answer_to(&body)));
            trace.answer("1001", "DE.ana", &answer_to(&body));
        }),
    ];
    for case in &cases {
        let report = judged(case);
        assert_eq!(report.verdict(), Ok(()), "{}", case.name);
        assert_eq!(report.residual.len(), 0, "{}", case.name);
    }
    assert_eq!(judged(&cases[1]).figures.messages_excused, 3);
    assert_eq!(judged(&cases[4]).figures.unknown_credentials, 1);
    assert_eq!(judged(&cases[5]).figures.messages_unjudged, 1);
}

/// One customer of bolt writes while many of acme do. `after` of acme's turns come before bolt's.
fn flood(after: usize) -> Vec<Entry> {
    let mut trace = Trace::default();
    let customers: Vec<_> = (10..20).map(|n| format!("49151000000{n}")).collect();
    for (tag, customer) in (10..).zip(&customers) {
        trace.write("1001", customer, tag, "hello");
    }
    trace.write("2002", BEA, 3, "hello");
    for (place, (tag, customer)) in (10..).zip(&customers).enumerate() {
        if place == after {
            let answer = trace.chat("2002", &[], "#m000003 hello");
            trace.answer("2002", BEA, &answer);
        }
        let answer = trace.chat("1001", &[], &format!("{} hello", Tag(tag)));
        trace.answer("1001", customer, &answer);
    }
    if after >= customers.len() {
        trace.chat("2002", &[], "#m000003 hello");
        trace.answer("2002", BEA, "ANS #m000003");
    }
    trace.entries
}

fn fair(quiet_millis: u64, turns_between_most: usize) -> Scenario {
    let quiet_time = std::time::Duration::from_millis(quiet_millis);
    scenario().with_fairness(Fairness { quiet: ["bolt".to_owned()].into(), quiet_time, turns_between_most })
}

#[test]
fn a_quiet_business_that_waits_for_too_many_turns_is_starved() {
    for (after, most, expected) in [(0, 0, &[][..]), (3, 3, &[]), (4, 3, &[Rule::Fairness]), (10, 3, &[Rule::Fairness])]
    {
        let report = judge(&flood(after), &fair(0, most));
        assert_eq!(broken(&report), expected, "after {after}: {:?}", report.verdict());
        assert_eq!(report.figures.turns_between_most, Some(after));
        assert!(report.figures.quiet_wait.is_some());
    }
    // The turns that begin before the message is due count for nothing: each takes some 90 ms here.
    let report = judge(&flood(4), &fair(1_000, 0));
    assert_eq!((broken(&report), report.figures.turns_between_most), (vec![], Some(0)));
}

#[test]
fn a_message_of_a_quiet_business_that_never_gets_a_turn_is_lost_and_not_unfair() {
    let bolts = |entry: &Entry| {
        matches!(&entry.fact, Event::AiRequest(request) if request.body.to_string().contains("#m000003"))
            || matches!(&entry.fact, Event::GraphSend(send) if send.phone_number_id == "2002")
    };
    let entries: Vec<_> = flood(10).into_iter().filter(|entry| !bolts(entry)).collect();
    let report = judge(&entries, &fair(0, 0));
    assert_eq!((broken(&report), report.figures.turns_between_most), (vec![Rule::Loss], None));
}

#[test]
fn what_is_told_shows_tag_times_and_places_and_nobody_whole() {
    let mut trace = base();
    repeat_first(&mut trace, |_| {});
    trace.restamp();
    let told = judge(&trace.entries, &scenario()).verdict().expect_err("a duplicate");
    let line = told.lines().next().expect("a line");
    assert_eq!(line, "duplicate: #m000001 of 1001/…0001 was answered again (entry 5 at 0.050 s, entry 7 at 0.070 s)");
    assert!(told.contains("duplicate   1 violations") && !told.contains(ANA), "{told}");
}
