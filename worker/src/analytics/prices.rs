//! What the AI and the voice cost.

use std::collections::BTreeMap;

use shared::settings::Reader;

use super::{ModelUsage, Numbers};

/// US dollars for a million of something are millionths of a dollar for one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prices {
    /// Of tokens read and written, by model.
    models: BTreeMap<String, (f64, f64)>,
    /// Of a character that is spoken.
    speech: Option<f64>,
}

impl Prices {
    /// Reads `AI_PRICES` and `ELEVENLABS_PRICE`. What is wrong is noted.
    pub fn read(reader: &mut Reader) -> Self {
        let mut prices = Self::default();
        for entry in reader.text("AI_PRICES").iter().flat_map(|list| list.split(',')).map(str::trim) {
            match read_entry(entry) {
                Some((model, price)) => drop(prices.models.insert(model.to_owned(), price)),
                None if entry.is_empty() => {}
                None => reader.problem(
                    "AI_PRICES",
                    "must be MODEL=IN/OUT, …: US dollars for a million tokens, such as openai/gpt-oss-120b=0.15/0.60",
                ),
            }
        }
        if let Some(text) = reader.text("ELEVENLABS_PRICE") {
            prices.speech = amount(&text);
            if prices.speech.is_none() {
                reader.problem("ELEVENLABS_PRICE", "must be US dollars for a million characters, such as 50");
            }
        }
        prices
    }

    /// What a day cost, in millionths of a US dollar. None where nothing of it has a price.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "far below 2^52, and never negative"
    )]
    pub fn of(&self, numbers: &Numbers) -> Option<u64> {
        let of_model = |(model, usage): (&String, &ModelUsage)| {
            let (read, written) = self.models.get(model)?;
            Some(usage.tokens_in as f64 * read + usage.tokens_out as f64 * written)
        };
        let models = numbers.models.iter().filter_map(of_model);
        let spoken = self.speech.filter(|_| numbers.spoken_characters > 0);
        let costs: Vec<f64> = models.chain(spoken.map(|price| numbers.spoken_characters as f64 * price)).collect();
        (!costs.is_empty()).then(|| costs.iter().sum::<f64>().round() as u64)
    }
}

fn read_entry(entry: &str) -> Option<(&str, (f64, f64))> {
    let (model, prices) = entry.rsplit_once('=')?;
    let (read, written) = prices.split_once('/')?;
    Some((Some(model.trim()).filter(|model| !model.is_empty())?, (amount(read)?, amount(written)?)))
}

fn amount(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|amount: &f64| amount.is_finite() && (0.0..=1_000_000.0).contains(amount))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&'static str, &'static str)]) -> Result<Prices, String> {
        let mut reader = Reader::from_pairs(pairs.iter().copied());
        let prices = Prices::read(&mut reader);
        reader.finish().map(|()| prices).map_err(|problems| problems.to_string())
    }

    #[test]
    fn a_day_costs_what_its_models_and_its_voice_cost() {
        let list = ("AI_PRICES", "openai/gpt-oss-120b=0.15/0.60, small = 0.05/0.08,");
        let prices = read(&[list, ("ELEVENLABS_PRICE", "50")]).expect("valid");
        let mut numbers = Numbers { spoken_characters: 100, ..Numbers::default() };
        assert_eq!(prices.of(&numbers), Some(5_000));
        let usage = ModelUsage { calls: 1, tokens_in: 2_000, tokens_out: 1_000 };
        numbers.models.insert("openai/gpt-oss-120b".to_owned(), usage);
        numbers.models.insert("unpriced".to_owned(), usage);
        assert_eq!(prices.of(&numbers), Some(5_900));
        assert_eq!(Prices::default().of(&numbers), None, "unknown is not free");
    }

    #[test]
    fn what_is_no_price_is_refused() {
        for wrong in ["0.15", "m=0.15", "m=0.15/x", "=1/2", "m=-1/2", "m=inf/1"] {
            assert!(read(&[("AI_PRICES", wrong)]).expect_err(wrong).contains("US dollars"), "{wrong}");
        }
        assert!(read(&[("ELEVENLABS_PRICE", "free")]).is_err());
        assert_eq!(read(&[]).expect("valid"), Prices::default());
    }
}
