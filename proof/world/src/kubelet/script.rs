//! The little shell that modelled containers understand: `sleep 5 && exit 1`.

use std::time::Duration;

use serde_json::Value;

use crate::behaviour::LONGEST_DELAY_SECONDS;
use crate::object::{count, list};

/// The longest script that is read, in words; a longer one runs for ever.
const LONGEST_SCRIPT_WORDS: usize = 1_000;

/// How long a container's command runs and its exit code; `None` if it runs for ever or is not understood.
pub(super) fn duration_and_exit(container: &Value) -> Option<(Duration, i32)> {
    let words = words(container, &["/command", "/args"]);
    let mut duration = Duration::ZERO;
    let mut rest = words.as_slice();
    if rest.is_empty() {
        return None;
    }
    while let Some((word, after)) = rest.split_first() {
        rest = match (word.as_str(), after) {
            ("sleep", [seconds, after @ ..]) => {
                duration += seconds_of(seconds)?;
                after
            }
            ("exit", [code, ..]) => return Some((duration, code.parse().ok()?)),
            ("exit" | "false", _) => return Some((duration, i32::from(word == "false"))),
            ("true" | ":", after) => after,
            _ => return None,
        };
    }
    Some((duration, 0))
}

/// How long a lifecycle hook at `pointer` takes; nothing if it is not understood.
pub(super) fn hook_duration(container: &Value, pointer: &str) -> Duration {
    let Some(hook) = container.pointer(pointer) else { return Duration::ZERO };
    let asked = u64::from(count(hook, "/sleep/seconds", 0)).min(LONGEST_DELAY_SECONDS);
    let words = words(hook, &["/exec/command"]);
    let slept = words.windows(2).filter(|pair| pair[0] == "sleep").filter_map(|pair| seconds_of(&pair[1]));
    Duration::from_secs(asked) + slept.sum::<Duration>()
}

/// The words of a command line, with a leading shell and the separators between commands left out.
fn words(object: &Value, pointers: &[&str]) -> Vec<String> {
    let arguments = pointers.iter().flat_map(|pointer| list(object, pointer)).filter_map(Value::as_str);
    let words =
        arguments.flat_map(|argument| argument.split(|c: char| c.is_whitespace() || c == ';' || c == '&'));
    let shells = ["sh", "/bin/sh", "bash", "/bin/bash", "-c", "-ec", ""];
    words.filter(|word| !shells.contains(word)).take(LONGEST_SCRIPT_WORDS).map(str::to_owned).collect()
}

fn seconds_of(word: &str) -> Option<Duration> {
    let seconds: f64 = word.strip_suffix('s').unwrap_or(word).parse().ok()?;
    let longest = Duration::from_secs(LONGEST_DELAY_SECONDS);
    Some(Duration::try_from_secs_f64(seconds).ok()?.min(longest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn commands_say_how_long_and_how_it_ends() {
        let check = |container: Value, expect: Option<(u64, i32)>| {
            let expect = expect.map(|(seconds, code)| (Duration::from_secs(seconds), code));
            assert_eq!(duration_and_exit(&container), expect, "{container}");
        };
        check(json!({}), None);
        check(json!({"command": ["sh", "-c", "sleep 5 && exit 3"]}), Some((5, 3)));
        check(json!({"command": ["/bin/sh", "-c"], "args": ["sleep 2; sleep 3s; true"]}), Some((5, 0)));
        check(json!({"command": ["sleep", "7"]}), Some((7, 0)));
        check(json!({"command": ["false"]}), Some((0, 1)));
        check(json!({"command": ["sh", "-c", "exit"]}), Some((0, 0)));
        check(json!({"command": ["/app/server"]}), None);
        check(json!({"command": ["sleep", "infinity"]}), None);
        check(json!({"command": ["sleep"]}), None);
        check(json!({"command": ["sh", "-c", "exit é"]}), None);
    }

    #[test]
    fn hooks_take_time() {
        let container = json!({"lifecycle": {
            "preStop": {"exec": {"command": ["sh", "-c", "sleep 5; /drain"]}}, "postStart": {"sleep": {"seconds": 3}},
        }});
        assert_eq!(hook_duration(&container, "/lifecycle/preStop"), Duration::from_secs(5));
        assert_eq!(hook_duration(&container, "/lifecycle/postStart"), Duration::from_secs(3));
        assert_eq!(hook_duration(&json!({}), "/lifecycle/preStop"), Duration::ZERO);
    }
}
