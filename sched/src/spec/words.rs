//! Splits a line into words as a shell would, without expanding anything.
//!
//! Works on bytes, because a script need not be UTF-8. Which lines are split, and what the words mean, is not known
//! here: see [`super::directives`]. Start at [`split`].

use thiserror::Error;

/// Splits at unquoted blanks and tabs.
///
/// Single quotes keep everything as it is; in double quotes a backslash escapes what a shell could expand there, or end
/// the quotes; outside of quotes it makes the next byte ordinary. An unquoted `#` ends the line, within a word too, as in Slurm
/// (`-J a#b` is `-J a`) [seen on 22.05.8].
///
/// # Errors
/// When a quote is never closed.
pub fn split(line: &[u8]) -> Result<Vec<Vec<u8>>, OpenQuote> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut rest = line;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'#' => break,
            b' ' | b'\t' | b'\n' => words.extend(word.take()),
            b'\'' | b'"' => {
                let open = || OpenQuote { quote: char::from(byte), line: String::from_utf8_lossy(line).into_owned() };
                rest = read_quoted(byte, after, word.get_or_insert_default()).ok_or_else(open)?;
            }
            b'\\' => {
                let (escaped, after) = after.split_at(after.len().min(1));
                word.get_or_insert_default().extend(escaped);
                rest = after;
            }
            _ => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    Ok(words)
}

/// Moves what stands before the closing quote into `word` and returns what follows it.
fn read_quoted<'a>(quote: u8, mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (&byte, after) = rest.split_first()?;
        rest = after;
        match after.first() {
            _ if byte == quote => return Some(rest),
            Some(&escaped @ (b'"' | b'\\' | b'$' | b'`')) if byte == b'\\' && quote == b'"' => {
                word.push(escaped);
                rest = &after[1..];
            }
            _ => word.push(byte),
        }
    }
}

/// A quote that is opened and never closed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("Unmatched `{quote}` in [{line}]: close the quote on the same line")]
pub struct OpenQuote {
    /// The quote.
    pub quote: char,
    /// The line, made readable where it is not UTF-8.
    pub line: String,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(line: &str) -> Vec<String> {
        let words = split(line.as_bytes()).expect(line).into_iter();
        words.map(|word| String::from_utf8(word).expect("the line was UTF-8")).collect()
    }

    /// A shell's rules, on which Slurm 22.05.8 agrees but for a backslash: there it never protects a blank, and vanishes
    /// in both kinds of quotes.
    #[test]
    fn splits_as_sbatch_does() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            (" \t ", &[]),
            ("-J  one\t-t 5 ", &["-J", "one", "-t", "5"]),
            (r#"-J "a b" --comment='c "d'"#, &["-J", "a b", r#"--comment=c "d"#]),
            (r#"a"b c"d"#, &["ab cd"]),
            (r"a\ b", &["a b"]),
            (r"a\\b", &[r"a\b"]),
            (r#""a\"b""#, &[r#"a"b"#]),
            (r#""a\\b""#, &[r"a\b"]),
            (r#""a\nb\$c\`d""#, &[r"a\nb$c`d"]),
            (r"'a\b'", &[r"a\b"]),
            (r"'a'\''b'", &["a'b"]),
            (r#""it's""#, &["it's"]),
            (r#""" ''"#, &["", ""]),
            ("-J a #b -t 5", &["-J", "a"]),
            ("-J a#b", &["-J", "a"]),
            (r##"x"#"y a'#'b x\#y"##, &["x#y", "a#b", "x#y"]),
            (r"abc\", &["abc"]),
            ("$HOME ~ *", &["$HOME", "~", "*"]),
        ];
        for (line, expected) in cases {
            assert_eq!(words(line), *expected, "{line}");
        }
    }

    #[test]
    fn an_open_quote_is_named() {
        for (line, quote) in [("-J \"abc", '"'), ("'abc", '\''), (r#""abc\""#, '"'), (r"'a\'b'", '\'')] {
            assert_eq!(split(line.as_bytes()).expect_err(line).quote, quote, "{line}");
        }
    }

    proptest! {
        #[test]
        fn quoted_words_come_back(list in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..12), 0..6)) {
            let mut line = Vec::new();
            for word in &list {
                line.push(b'"');
                for byte in word {
                    if matches!(byte, b'"' | b'\\') {
                        line.push(b'\\');
                    }
                    line.push(*byte);
                }
                line.extend_from_slice(b"\" ");
            }
            prop_assert_eq!(split(&line), Ok(list));
        }

        #[test]
        fn no_line_panics(line in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\\'), Just(b'"')], 0..40)) {
            let _ = split(&line);
        }
    }
}
