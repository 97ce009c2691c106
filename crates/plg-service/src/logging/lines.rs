//! Lines that wait to be written, by a thread of their own: nobody who logs waits for whoever reads the log.

use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use tracing_subscriber::fmt::MakeWriter;

/// So many bytes wait at the most. When nobody reads the log any more, further lines are lost.
const MOST_BYTES: usize = 1024 * 1024;
/// How long a line waits for others, to be written with them: a thread that is woken for each takes as long as the line.
const PAUSE: Duration = Duration::from_millis(10);
/// How long the end of the process waits for its log.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Where lines are put.
#[derive(Clone, Default)]
pub(super) struct Lines(Arc<Shared>);

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    lost: AtomicUsize,
}

#[derive(Default)]
struct Waiting {
    text: Vec<u8>,
    /// No more will come.
    is_closed: bool,
    /// Nobody writes any more.
    is_done: bool,
}

/// Writes what still waits when it is dropped, unless that takes long.
pub(super) struct LastWords(Lines);

impl Lines {
    /// Begins to write them into this.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(super) fn write_to(&self, out: impl Write + Send + 'static) -> io::Result<LastWords> {
        let lines = self.clone();
        thread::Builder::new().name("log".to_owned()).spawn(move || lines.write(out))?;
        Ok(LastWords(self.clone()))
    }

    /// How many were lost.
    pub(super) fn lost(&self) -> usize {
        self.0.lost.load(Ordering::Relaxed)
    }

    fn write(&self, mut out: impl Write) {
        let mut text = Vec::new();
        let mut is_closed = false;
        while !is_closed {
            let next =
                self.0.changed.wait_while(self.waiting(), |it| it.text.is_empty() && !it.is_closed);
            let next = next.unwrap_or_else(PoisonError::into_inner);
            let next = self.0.changed.wait_timeout_while(next, PAUSE, |it| !it.is_closed);
            let (mut next, _) = next.unwrap_or_else(PoisonError::into_inner);
            std::mem::swap(&mut next.text, &mut text);
            is_closed = next.is_closed;
            drop(next);
            // There is nobody who could be told.
            let _ = out.write_all(&text).and_then(|()| out.flush());
            text.clear();
        }
        self.waiting().is_done = true;
        self.0.changed.notify_all();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for &Lines {
    /// A whole line, or several.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = self.waiting();
        if waiting.text.len() + line.len() > MOST_BYTES {
            self.0.lost.fetch_add(1, Ordering::Relaxed);
            return Ok(line.len());
        }
        let is_first = waiting.text.is_empty();
        waiting.text.extend_from_slice(line);
        drop(waiting);
        if is_first {
            self.0.changed.notify_all();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

impl Drop for LastWords {
    fn drop(&mut self) {
        let Self(lines) = self;
        lines.waiting().is_closed = true;
        lines.0.changed.notify_all();
        let done =
            lines.0.changed.wait_timeout_while(lines.waiting(), LAST_WORDS, |it| !it.is_done);
        drop(done);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    /// Takes what is written only when it is read.
    struct Pipe(SyncSender<Vec<u8>>);

    impl Write for Pipe {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            let sent = self.0.send(text.to_vec());
            sent.map(|()| text.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn pipe() -> (Pipe, Receiver<Vec<u8>>) {
        let (writer, reader) = sync_channel(0);
        (Pipe(writer), reader)
    }

    /// Reads until nobody writes any more.
    fn read_all(reader: Receiver<Vec<u8>>) -> thread::JoinHandle<String> {
        thread::spawn(move || String::from_utf8(reader.into_iter().flatten().collect()).unwrap())
    }

    fn until_taken(lines: &Lines) {
        while !lines.waiting().text.is_empty() {
            thread::yield_now();
        }
    }

    #[test]
    fn all_lines_are_written_in_order_and_the_last_ones_at_the_end() {
        const LINES: usize = 1_000;

        let (pipe, reader) = pipe();
        let read = read_all(reader);
        let lines = Lines::default();
        let last_words = lines.write_to(pipe).unwrap();
        for number in 0..LINES {
            (&lines).write_all(format!("{number}\n").as_bytes()).unwrap();
            if number % 400 == 0 {
                until_taken(&lines);
            }
        }
        drop(last_words);
        let expected: String = (0..LINES).map(|number| format!("{number}\n")).collect();
        assert_eq!((read.join().unwrap(), lines.lost()), (expected, 0));
    }

    #[test]
    fn what_nobody_reads_is_bounded_and_whole_lines_are_lost() {
        const LINE: [u8; 1024] = [b'x'; 1024];
        const FIT: usize = MOST_BYTES / LINE.len();

        let (pipe, reader) = pipe();
        let lines = Lines::default();
        let last_words = lines.write_to(pipe).unwrap();
        // When this is being written, no more is taken.
        (&lines).write_all(b"first").unwrap();
        until_taken(&lines);
        for _ in 0..FIT + 7 {
            (&lines).write_all(&LINE).unwrap();
        }
        assert_eq!(lines.lost(), 7);
        let read = read_all(reader);
        drop(last_words);
        assert_eq!(read.join().unwrap().len(), "first".len() + FIT * LINE.len());
    }

    #[test]
    fn an_end_waits_for_nobody_who_reads_nothing() {
        let (pipe, _reader) = pipe();
        let lines = Lines::default();
        let last_words = lines.write_to(pipe).unwrap();
        (&lines).write_all(b"a line\n").unwrap();
        drop(last_words);
        assert!(!lines.waiting().is_done);
    }

    #[test]
    fn a_reader_that_has_gone_stops_nobody() {
        let (pipe, reader) = pipe();
        drop(reader);
        let lines = Lines::default();
        let last_words = lines.write_to(pipe).unwrap();
        (&lines).write_all(b"a line\n").unwrap();
        drop(last_words);
        assert!(lines.waiting().is_done);
    }
}
