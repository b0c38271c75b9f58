//! The phone page in headless Chromium, over the real program: what a person who tries the demonstration goes through.
//!
//! Each test starts a program on a file of its own and a browser with a profile of its own, so that none can see what
//! another did. Chromium and its driver must be there; a test that cannot run fails and says what to install.

mod driver;
mod vendor;
mod demo;
mod page;

mod chats;
mod files;
mod choices;
mod faults;
mod restart;
mod live;
mod safety;
mod access;
mod behind;
mod pictures;
mod dashboard;
