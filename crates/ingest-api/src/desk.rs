//! Where a thread gets the answers that other threads have made for it.
//!
//! To wake a task of another thread's runtime is a system call. A batch has answers for hundreds of requests, and
//! they are of two or three threads: so those of one thread are handed over together, and it wakes its own tasks.

use std::cell::RefCell;
use tokio::sync::{mpsc, oneshot};

type Delivery = Box<dyn FnOnce() + Send>;
type Answers<T> = Vec<(oneshot::Sender<T>, T)>;

/// A thread's desk.
#[derive(Debug, Clone)]
struct Desk(mpsc::UnboundedSender<Delivery>);

thread_local! {
    static HERE: RefCell<Option<Desk>> = const { RefCell::new(None) };
}

impl Desk {
    /// This thread's, which has to be one that serves HTTP. Its runtime attends to it from the first use on.
    fn here() -> Self {
        HERE.with_borrow_mut(|here| match here {
            Some(desk) if !desk.0.is_closed() => desk.clone(),
            _ => here.insert(Self::open()).clone(),
        })
    }

    fn open() -> Self {
        let (sender, mut deliveries) = mpsc::unbounded_channel::<Delivery>();
        actix_web::rt::spawn(async move {
            while let Some(hand_out) = deliveries.recv().await {
                hand_out();
            }
        });
        Self(sender)
    }
}

/// Answers a question that was asked at a desk.
#[derive(Debug)]
pub(crate) struct Reply<T> {
    desk: Desk,
    to: oneshot::Sender<T>,
}

impl<T: Send + 'static> Reply<T> {
    /// For whoever waits on this thread, and what to wait for.
    pub(crate) fn here() -> (Self, oneshot::Receiver<T>) {
        let (to, answer) = oneshot::channel();
        (Self { desk: Desk::here(), to }, answer)
    }

    /// Whether nobody waits any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.to.is_closed()
    }
}

/// Gives answers, all of a thread's at once. Whoever has hung up does not need his.
pub(crate) fn deliver<T: Send + 'static>(answers: impl IntoIterator<Item = (Reply<T>, T)>) {
    let mut by_desk: Vec<(Desk, Answers<T>)> = Vec::new();
    for (Reply { desk, to }, answer) in answers {
        match by_desk.iter_mut().find(|(known, _)| known.0.same_channel(&desk.0)) {
            Some((_, answers)) => answers.push((to, answer)),
            None => by_desk.push((desk, vec![(to, answer)])),
        }
    }
    for (desk, answers) in by_desk {
        let hand_out = move || {
            for (to, answer) in answers {
                let _ = to.send(answer);
            }
        };
        // Without the thread, nobody waits there.
        let _ = desk.0.send(Box::new(hand_out));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn everybody_gets_his_own_answer() {
        let (asked, questions) = std::sync::mpsc::channel();
        let ask = |thread: usize| {
            let asked = asked.clone();
            move || {
                actix_web::rt::System::new().block_on(async {
                    let (replies, answers): (Vec<_>, Vec<_>) =
                        (0..50).map(|_| Reply::here()).unzip();
                    asked.send((thread, replies)).unwrap();
                    for (index, answer) in answers.into_iter().enumerate() {
                        assert_eq!(answer.await, Ok((thread, index)));
                    }
                });
            }
        };
        let threads: Vec<_> = (0..3).map(|thread| thread::spawn(ask(thread))).collect();
        let replies = questions.iter().take(threads.len()).flat_map(|(thread, replies)| {
            replies.into_iter().enumerate().map(move |(index, reply)| (reply, (thread, index)))
        });
        let mut replies: Vec<_> = replies.collect();
        // Those of the threads come in turn.
        replies.sort_by_key(|(_, (thread, index))| (*index, *thread));
        deliver(replies);
        for thread in threads {
            thread.join().unwrap();
        }
    }

    #[actix_web::test]
    async fn whoever_is_not_answered_hears_of_it() {
        let (reply, answer) = Reply::<()>::here();
        thread::spawn(move || drop(reply)).join().unwrap();
        assert!(answer.await.is_err());
    }

    #[actix_web::test]
    async fn a_thread_that_has_ended_keeps_nobody_from_his_answer() {
        let ask = || actix_web::rt::System::new().block_on(async { Reply::here().0 });
        let gone = thread::spawn(ask).join().unwrap();
        let (reply, answer) = Reply::here();
        deliver([(gone, 1), (reply, 2)]);
        assert_eq!(answer.await, Ok(2));
    }

    #[test]
    fn a_thread_whose_runtime_has_ended_gets_a_new_desk() {
        let ask = || {
            let (reply, answer) = Reply::here();
            thread::spawn(move || deliver([(reply, 1)])).join().unwrap();
            answer
        };
        for _ in 0..2 {
            actix_web::rt::System::new().block_on(async { assert_eq!(ask().await, Ok(1)) });
        }
    }
}
