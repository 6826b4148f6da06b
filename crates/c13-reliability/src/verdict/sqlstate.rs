//! What SQLSTATE codes mean.

use super::{Meaning, Verdict};
use crate::gate::Outcome;

impl Meaning {
    /// What this SQLSTATE of five characters means: by its class, its first two, and where the class says too little by all
    /// five. A code of another form, such as the numbers of SQLite, is an answer.
    #[must_use]
    pub fn of_sqlstate(code: &str) -> Self {
        let (Some(class), 5) = (code.get(..2), code.len()) else {
            return Self::ANSWER;
        };
        let exact = CODES.iter().find(|(row, _)| *row == code);
        let row = exact.or_else(|| CLASSES.iter().find(|(row, _)| *row == class));
        row.map_or(Self::ANSWER, |(_, meaning)| *meaning)
    }
}

impl Outcome {
    /// What an error with this SQLSTATE says about the database. Failures are the classes 08 (connection), 53 (resources), 57
    /// (operator intervention), 58 (system), F0 (configuration) and XX (internal); what is wrong with the statement or the data
    /// is an answer, and so is a conflict with another transaction.
    #[must_use]
    pub fn of_sqlstate(code: &str) -> Self {
        Meaning::of_sqlstate(code).outcome
    }
}

impl Verdict {
    /// Whether an error with this SQLSTATE is worth another attempt: those of a database that does not take the call now or
    /// has lost it are, and those of a transaction that gave way to another one.
    #[must_use]
    pub fn of_sqlstate(code: &str) -> Self {
        Meaning::of_sqlstate(code).verdict
    }
}

/// What the codes of a class mean. The classes that are not here speak of the statement or the data: 22 (data), 23
/// (constraints), 25 (state of the transaction), 28 (authorisation), 42 (syntax, access) and all others.
const CLASSES: &[(&str, Meaning)] = &[
    // The connection failed or was lost.
    ("08", Meaning::FAILURE),
    // A transaction was rolled back for the sake of another one.
    ("40", Meaning::CONFLICT),
    // Out of connections, memory, or something else that comes back.
    ("53", Meaning::REFUSED),
    // The operator intervened: shutdown, crash, a server that starts.
    ("57", Meaning::FAILURE),
    // An error outside the database, such as input and output.
    ("58", Meaning::FAILURE),
    ("F0", Meaning::DEFECT),
    ("XX", Meaning::DEFECT),
];

/// Where the class says too little.
const CODES: &[(&str, Meaning)] = &[
    // The client could not connect, the server rejected the connection: nothing has begun.
    ("08001", Meaning::REFUSED),
    ("08004", Meaning::REFUSED),
    // Protocol violation.
    ("08P01", Meaning::DEFECT),
    // A constraint was violated at the end of a transaction.
    ("40002", Meaning::ANSWER),
    // Whether the statement was completed is unknown.
    ("40003", Meaning::FAILURE),
    // The disk is full.
    ("53100", Meaning::DEFECT),
    // Another transaction has the lock that this one would not wait for.
    ("55P03", Meaning::CONFLICT),
    // Cancelled, as a rule by `statement_timeout`: another attempt would take as long.
    ("57014", Meaning::DEFECT),
    // The server does not accept connections now: it starts, stops or recovers.
    ("57P03", Meaning::REFUSED),
    // The database was dropped.
    ("57P04", Meaning::DEFECT),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sqlstate_says_whether_the_database_failed() {
        for (code, meaning) in [
            ("00000", Meaning::ANSWER),
            ("02000", Meaning::ANSWER),
            ("08000", Meaning::FAILURE),
            ("08001", Meaning::REFUSED),
            ("08004", Meaning::REFUSED),
            ("08006", Meaning::FAILURE),
            ("08P01", Meaning::DEFECT),
            ("22012", Meaning::ANSWER),
            ("23502", Meaning::ANSWER),
            ("23503", Meaning::ANSWER),
            ("23505", Meaning::ANSWER),
            ("23P01", Meaning::ANSWER),
            ("25P02", Meaning::ANSWER),
            ("28P01", Meaning::ANSWER),
            ("40001", Meaning::CONFLICT),
            ("40002", Meaning::ANSWER),
            ("40003", Meaning::FAILURE),
            ("40P01", Meaning::CONFLICT),
            ("42601", Meaning::ANSWER),
            ("42P01", Meaning::ANSWER),
            ("53100", Meaning::DEFECT),
            ("53200", Meaning::REFUSED),
            ("53300", Meaning::REFUSED),
            ("54000", Meaning::ANSWER),
            ("55P03", Meaning::CONFLICT),
            ("57014", Meaning::DEFECT),
            ("57P01", Meaning::FAILURE),
            ("57P02", Meaning::FAILURE),
            ("57P03", Meaning::REFUSED),
            ("57P04", Meaning::DEFECT),
            ("58030", Meaning::FAILURE),
            ("F0001", Meaning::DEFECT),
            ("XX000", Meaning::DEFECT),
            // SQLite's numbers, MySQL's "general error", and nonsense.
            ("2067", Meaning::ANSWER),
            ("5386", Meaning::ANSWER),
            ("HY000", Meaning::ANSWER),
            ("", Meaning::ANSWER),
            ("0é00", Meaning::ANSWER),
        ] {
            assert_eq!(Meaning::of_sqlstate(code), meaning, "{code}");
            assert_eq!(Outcome::of_sqlstate(code), meaning.outcome, "{code}");
            assert_eq!(Verdict::of_sqlstate(code), meaning.verdict, "{code}");
        }
    }
}
