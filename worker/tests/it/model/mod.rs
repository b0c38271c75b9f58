//! The protocol walked through in a model: the turn's own machine and the conversation's own state, with Meta, the
//! queue and the clock played by the model, and the simulator's judge over every run.
//!
//! A run is a sequence of choices. The first choice of each step is what happens on a good day; every other one is a
//! crash, a pause, a lost answer, a duplicate, or something that comes early. [`explore`] takes every run that departs
//! from the good day in few places, wherever they are; [`random`] departs anywhere and often. [`mutants`] breaks the
//! protocol on purpose, and the judge must find it.

mod world;
mod choices;
mod record;

mod explore;
mod mutants;
mod random;
mod wishes;
