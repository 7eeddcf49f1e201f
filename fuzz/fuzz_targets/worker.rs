//! One thread with a large stack that lives as long as the fuzzer does: to make one for each input takes a
//! sanitizer far longer than the input itself.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, OnceLock};

use nixactions::eval::on_big_stack;

/// Where inputs go, and where the word comes from that one is done.
struct Worker {
    inputs: Sender<Vec<u8>>,
    done: Receiver<()>,
}

impl Worker {
    fn start(work: fn(&[u8])) -> Self {
        let (inputs, received) = channel::<Vec<u8>>();
        let (finished, done) = channel();
        std::thread::spawn(move || {
            on_big_stack(move || {
                for text in received {
                    work(&text);
                    let _ = finished.send(());
                }
            });
        });
        Worker { inputs, done }
    }
}

/// Has the worker do `work` on this text, and waits for its end.
pub fn on_worker(text: &[u8], work: fn(&[u8])) {
    static WORKER: OnceLock<Mutex<Worker>> = OnceLock::new();
    let worker = WORKER.get_or_init(|| Mutex::new(Worker::start(work))).lock().expect("one thread asks");
    worker.inputs.send(text.to_vec()).expect("the worker lives");
    worker.done.recv().expect("the worker lives");
}
