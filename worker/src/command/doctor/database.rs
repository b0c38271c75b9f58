//! The database: whether it is there, and has all that a worker needs.

use super::check::{Check, Part};
use crate::store::StoreCondition;

/// What the look at it means.
pub(super) fn judge(condition: &anyhow::Result<StoreCondition>) -> Vec<Check> {
    match condition {
        Err(error) => {
            let problem = format!("it cannot be looked at: {error:#}");
            let mend = "start it, or correct MONGODB_URI: host and port, user and password, the name of the replica set \
                        (of standalone: SWITCHBOARD_DB, or --db)";
            vec![Check::error(Part::Database, "server", problem, mend)]
        }
        Ok(condition) => {
            let server = Check::ok(Part::Database, "server", format!("{} answers", condition.server));
            let faults = condition.faults.iter();
            let faults = faults.map(|fault| Check::error(Part::Database, &fault.subject, &fault.problem, &fault.mend));
            std::iter::once(server).chain(faults).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreFault;

    #[test]
    fn each_fault_of_a_database_is_an_error_with_its_mend() {
        let fault = StoreFault::new("messages", "has no index expire_at_1", "restart a worker");
        let checks = judge(&Ok(StoreCondition { server: "MongoDB 8".to_owned(), faults: vec![fault] }));
        assert_eq!((checks[0].problem.as_str(), checks[1].subject.as_str()), ("MongoDB 8 answers", "messages"));
        assert_eq!(checks[1].mend.as_deref(), Some("restart a worker"));
        let away = judge(&Err(anyhow::anyhow!("no server")));
        assert!(away.len() == 1 && away[0].problem.contains("no server"));
    }
}
