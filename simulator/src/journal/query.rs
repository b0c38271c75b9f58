//! Typed questions to the journal. Each answers from what is recorded so far, in order.

use super::{
    AiAnswer, AiRequest, AiSpeech, Event, GraphAnswer, GraphRead, GraphRequest, GraphSend, GraphUpload, HostRequest,
    Journal, Mark, Stamped, StatusWithheld, Update, Voices, WebhookAnswer, WebhookPost,
};

/// A webhook that was posted, with its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Post {
    /// The same for every post of the same bytes.
    pub body_id: String,
    /// The how manieth try of one delivery, from 1.
    pub attempt: u32,
    /// What was in it.
    pub updates: Vec<Update>,
    /// When it left, `CLOCK_MONOTONIC`.
    pub sent_ns: u64,
    /// When the answer came; none while it is on its way.
    pub answered_ns: Option<u64>,
    /// The HTTP status of the answer, if one came.
    pub http: Option<u16>,
}

macro_rules! facts {
    ($($(#[$doc:meta])* $name:ident: $variant:ident => $fact:ty;)*) => {
        impl Journal {$(
            $(#[$doc])*
            pub fn $name(&self) -> Vec<Stamped<$fact>> {
                self.select(|event| if let Event::$variant(fact) = event { Some(fact) } else { None })
            }
        )*}
    };
}

facts! {
    /// Every request that reached the Graph API.
    graph_requests: GraphRequest => GraphRequest;
    /// Every message to a customer, accepted or not.
    sends: GraphSend => GraphSend;
    /// Every read receipt.
    reads: GraphRead => GraphRead;
    /// Every file that the Graph API took.
    uploads: GraphUpload => GraphUpload;
    /// Every answer of the Graph API.
    graph_answers: GraphAnswer => GraphAnswer;
    /// Every status that was kept back.
    statuses_withheld: StatusWithheld => StatusWithheld;
    /// Every post of a webhook, without its answer; see [`Journal::posts`].
    webhook_posts: WebhookPost => WebhookPost;
    /// Every answer to a webhook.
    webhook_answers: WebhookAnswer => WebhookAnswer;
    /// Every request that reached the AI.
    ai_requests: AiRequest => AiRequest;
    /// Every recording that the AI answered with.
    speeches: AiSpeech => AiSpeech;
    /// Every answer of the AI.
    ai_answers: AiAnswer => AiAnswer;
    /// Every request that reached another host.
    host_requests: HostRequest => HostRequest;
    /// Everything that the test noted.
    marks: Mark => Mark;
}

impl Journal {
    /// The messages that were accepted, whether or not the client heard of it.
    pub fn accepted(&self) -> Vec<Stamped<GraphSend>> {
        self.sends().into_iter().filter(|send| send.is_accepted()).collect()
    }

    /// The accepted messages to one customer (phone number without `+`, or user id) from one number.
    pub fn accepted_for(&self, phone_number_id: &str, customer: &str) -> Vec<Stamped<GraphSend>> {
        let theirs = |send: &Stamped<GraphSend>| send.phone_number_id == phone_number_id && send.customer() == customer;
        self.accepted().into_iter().filter(theirs).collect()
    }

    /// The texts that one customer received from one number.
    pub fn texts_for(&self, phone_number_id: &str, customer: &str) -> Vec<String> {
        let sends = self.accepted_for(phone_number_id, customer);
        sends.iter().filter_map(|send| send.text().map(str::to_owned)).collect()
    }

    /// The messages of whatever type that one customer received from one number, in order.
    pub fn messages_for(&self, phone_number_id: &str, customer: &str) -> Vec<GraphSend> {
        self.accepted_for(phone_number_id, customer).into_iter().map(|send| send.fact).collect()
    }

    /// The words that a voice message says: those which the AI was asked to speak, and answered with the very file
    /// that was uploaded. Where several texts were answered with equal files, those of the newest before the upload.
    pub fn spoken(&self, send: &GraphSend) -> Option<String> {
        if send.message_type != "audio" {
            return None;
        }
        let (entries, mut voices) = (self.entries(), Voices::default());
        entries.iter().for_each(|entry| voices.learn(&entry.fact));
        voices.words_of(send).map(str::to_owned)
    }

    /// The chat requests that reached the AI.
    pub fn chats(&self) -> Vec<Stamped<AiRequest>> {
        self.ai_requests().into_iter().filter(|request| request.endpoint == "chat").collect()
    }

    /// Every post of a webhook with its answer.
    pub fn posts(&self) -> Vec<Post> {
        let answers = self.webhook_answers();
        let answers: std::collections::HashMap<u64, _> = answers.iter().map(|answer| (answer.post, answer)).collect();
        let posts = self.webhook_posts().into_iter().map(|post| {
            let answer = answers.get(&post.post);
            Post {
                sent_ns: post.mono_ns,
                answered_ns: answer.map(|answer| answer.mono_ns),
                http: answer.and_then(|answer| answer.http),
                body_id: post.fact.body_id,
                attempt: post.fact.attempt,
                updates: post.fact.updates,
            }
        });
        posts.collect()
    }

    fn select<T: Clone>(&self, pick: impl Fn(&Event) -> Option<&T>) -> Vec<Stamped<T>> {
        let entries = self.entries();
        let found = entries.iter().filter_map(|entry| {
            let fact = pick(&entry.fact)?.clone();
            Some(Stamped { seq: entry.seq, mono_ns: entry.mono_ns, wall: entry.wall, fact })
        });
        found.collect()
    }
}
