//! The worker against real RabbitMQ and MongoDB, with Meta and the AI stood in for by the simulator.

mod readme;
mod store;
mod system;
