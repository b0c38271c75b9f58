//! The worker against real RabbitMQ and MongoDB, with Meta and the AI stood in for by the simulator.

mod store;
mod system;
