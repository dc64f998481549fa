use super::*;
use crate::sys::testing;

const SHELL: Tool = Tool::new("sh");
const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn arguments_are_passed_as_they_are_and_the_environment_is_empty() {
    let echoed = Tool::new("printf").run(["%s|", "a b", "$HOME;*"], LONG).await.unwrap();
    let env = Tool::new("env").run([""; 0], LONG).await.unwrap();

    assert_eq!(echoed.stdout, "a b|$HOME;*|");
    let mut env: Vec<_> = env.stdout.lines().collect();
    env.sort_unstable();
    assert_eq!(env, ["LC_ALL=C", &format!("PATH={PATH}")]);
}

#[tokio::test]
async fn a_failure_holds_command_line_exit_code_and_standard_error() {
    let script = ["-c", "echo why >&2; exit 3"];

    let error = SHELL.run(script, LONG).await.unwrap_err();
    let output = SHELL.run_any(script, LONG).await.unwrap();

    assert_eq!(error.to_string(), "`sh -c echo why >&2; exit 3` failed with exit code 3: why");
    assert_eq!((output.code, output.stderr.as_str()), (3, "why\n"));
    let killed = SHELL.run_any(["-c", "kill -9 $$"], LONG).await.unwrap();
    assert_eq!(killed.code, 137);
}

#[tokio::test]
async fn a_program_that_is_not_there_names_its_package() {
    let error = Tool::new("mkfs.hawser").run([""; 0], LONG).await.unwrap_err();

    assert!(matches!(error, ToolError::Missing { tool: "mkfs.hawser", .. }));
    assert_eq!(package_of("xfs_growfs"), "xfsprogs");
}

#[tokio::test]
async fn endless_output_is_cut_and_does_not_block_the_program() {
    let script = ["-c", "head -c 3000000 /dev/zero | tr '\\0' x; echo done >&2"];

    let output = SHELL.run(script, LONG).await.unwrap();

    assert_eq!(output.stdout.len(), 64 << 10);
    assert_eq!(output.stderr, "done\n");
}

/// A script that leaves a grandchild's pid in a file and then waits for ever.
fn with_grandchild(file: &Path) -> [String; 2] {
    ["-c".into(), format!("sleep 1000 & echo $! > {}; wait", file.display())]
}

fn pid_in(file: &Path) -> i32 {
    let read = || std::fs::read_to_string(file).ok()?.trim().parse().ok();
    testing::until("the grandchild's pid is written", || read().is_some());
    read().unwrap()
}

fn is_running(pid: i32) -> bool {
    crate::sys::boot::process_start_time(pid)
        .is_some_and(|start| crate::sys::boot::process_alive(pid, start))
}

#[tokio::test]
async fn a_timeout_kills_the_whole_group() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pid");

    let error = SHELL.run(with_grandchild(&file), Duration::from_millis(500)).await.unwrap_err();

    assert!(matches!(error, ToolError::TimedOut { .. }), "{error}");
    let grandchild = pid_in(&file);
    testing::until("the grandchild is gone", || !is_running(grandchild));
}

#[tokio::test]
async fn a_caller_that_stops_waiting_kills_the_whole_group() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pid");
    let args = with_grandchild(&file);
    let task = tokio::spawn(async move { SHELL.run(args, LONG).await });
    let grandchild = {
        let file = file.clone();
        tokio::task::spawn_blocking(move || pid_in(&file)).await.unwrap()
    };

    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());

    testing::until("the grandchild is gone", || !is_running(grandchild));
}
