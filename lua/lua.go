// Package lua holds the scripts that run inside Redis, one file each, and knows the
// digest that Redis will call each by.
//
// Every script checks everything before it writes, since Redis does not undo what a
// failing script wrote; takes its keys from the caller, all under one hash tag; and
// takes the time from Redis. A script that runs twice leaves what one run leaves. The
// header of each file says what it is given and what it answers, and a test holds the
// header to the body.
package lua

import (
	"crypto/sha1" // Redis names a script by this digest; nothing is secured with it.
	_ "embed"
	"encoding/hex"
)

// Script is one Lua script: the file's name without its suffix, its text, and the
// digest for EVALSHA, 40 lower-case hexadecimal digits.
type Script struct {
	Name   string
	Source string
	SHA    string
}

// Texts, and no file system: that would copy each of them whenever a function starts.
var (
	//go:embed place_hold.lua
	placeHold string
	//go:embed ensure_hold.lua
	ensureHold string
	//go:embed confirm_hold.lua
	confirmHold string
	//go:embed release_hold.lua
	releaseHold string
	//go:embed read_product.lua
	readProduct string
	//go:embed mark_warm.lua
	markWarm string
	//go:embed unmark_warm.lua
	unmarkWarm string
	//go:embed seed_product.lua
	seedProduct string
	//go:embed put_facts.lua
	putFacts string
	//go:embed list_places.lua
	listPlaces string
	//go:embed mark_users.lua
	markUsers string
	//go:embed correct_places.lua
	correctPlaces string
	//go:embed read_places.lua
	readPlaces string
	//go:embed list_long_holds.lua
	listLongHolds string
)

// The scripts, each described by the header of its file.
var (
	PlaceHold     = script("place_hold", placeHold)
	EnsureHold    = script("ensure_hold", ensureHold)
	ConfirmHold   = script("confirm_hold", confirmHold)
	ReleaseHold   = script("release_hold", releaseHold)
	ReadProduct   = script("read_product", readProduct)
	MarkWarm      = script("mark_warm", markWarm)
	UnmarkWarm    = script("unmark_warm", unmarkWarm)
	SeedProduct   = script("seed_product", seedProduct)
	PutFacts      = script("put_facts", putFacts)
	ListPlaces    = script("list_places", listPlaces)
	MarkUsers     = script("mark_users", markUsers)
	CorrectPlaces = script("correct_places", correctPlaces)
	ReadPlaces    = script("read_places", readPlaces)
	ListLongHolds = script("list_long_holds", listLongHolds)
)

// Scripts lists every Script.
var Scripts = []Script{
	PlaceHold, EnsureHold, ConfirmHold, ReleaseHold, ReadProduct,
	MarkWarm, UnmarkWarm, SeedProduct, PutFacts, ListPlaces, MarkUsers, CorrectPlaces,
	ReadPlaces, ListLongHolds,
}

func script(name, source string) Script {
	digest := sha1.Sum([]byte(source))
	return Script{Name: name, Source: source, SHA: hex.EncodeToString(digest[:])}
}
