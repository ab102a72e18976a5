// Package bookingtest holds hand-written fakes of the four ports of booking, for the
// seeded simulation and for the search through all interleavings.
//
// Invariants: a fake passes the same conformance suite as the real adapter; a call is
// atomic, and the same calls at the same times get the same answers. A call that is
// refused leaves no trace. A fake looks at no context: it answers at once or never.
package bookingtest
