// Package simulation runs the steps on the ports in memory, where a run costs
// microseconds: through every schedule of the port calls of processes that meet, each
// with every death, and through thousands of random worlds with every fault. Whatever
// happened, the invariants are judged by the rows, the gate and the gateway's ledger.
//
// Processes are coroutines in a bubble of testing/synctest, so that nothing runs, and no
// time passes, but by the test's decision; a run is repeated exactly from its seed or its
// schedule.
package simulation
