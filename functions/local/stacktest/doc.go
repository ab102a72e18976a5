// Package stacktest tests the whole local stack from outside: the front as `make run` starts it, with the functions as
// they are deployed, over HTTP, the invoke API, the payment ledger, the queue and rows of the database.
//
// Invariants: every stack has its own data folder, ports and servers, and what a test needs (buyers, products) it makes
// for itself, so that tests share a stack in parallel; nothing here knows how the product works inside. A stack that was
// started is stopped, and a process of it that outlives that is a failure.
//
// When a test binary dies half way, its stacks notice that their parent is gone and stop.
package stacktest
