package hold

import "strconv"

// keys are the names of one product's keys. The braces are a hash tag: all keys of a
// product live in one slot, so that one script may touch them on a cluster too.
type keys struct {
	product  string // HASH of the facts; missing: the gate is cold
	holds    string // ZSET user -> expiry in ms, +inf when confirmed
	tokens   string // HASH user -> token of his place
	marks    string // HASH user -> reconcile nonce, with a time to live
	bookings string // HASH user -> booking id of his confirmed place
	warm     string // STRING nonce of the caller that is warming, with a time to live
}

// keysOf names the keys of a product; the scripts' headers show the pattern. All are cut
// from one text: a reserve has little else to put together.
func keysOf(prefix string, productID int64) keys {
	tag := prefix + "stayhold:{" + strconv.FormatInt(productID, 10) + "}:"
	rest := tag + "product" + tag + "holds" + tag + "tokens" + tag + "marks" + tag + "bookings" + tag + "warm"
	next := func(name string) (key string) {
		n := len(tag) + len(name)
		key, rest = rest[:n], rest[n:]
		return key
	}
	return keys{
		product: next("product"), holds: next("holds"), tokens: next("tokens"),
		marks: next("marks"), bookings: next("bookings"), warm: next("warm"),
	}
}
