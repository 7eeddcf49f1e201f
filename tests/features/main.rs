//! Every part of the workflow language, from a file through the program to real processes.

mod calls;
mod harness;
mod inputs;
mod matrix;
mod results;
