//! Measures the library side by side with its peers, and keeps its counts from growing. `README.md` says how.

mod args;
mod case;
mod cases;
mod counts;
mod measure;
mod median;
mod processors;
mod report;
mod results;
mod rows;
mod run;
mod stamp;

use std::process::ExitCode;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the system gives a runtime");
    // Peers ask for a runtime when they are set up.
    let _entered = runtime.enter();
    match args::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("c13-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
