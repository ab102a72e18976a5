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
	"embed"
	"encoding/hex"
)

// Script is one Lua script: the file's name without its suffix, its text, and the
// digest for EVALSHA, 40 lower-case hexadecimal digits.
type Script struct {
	Name   string
	Source string
	SHA    string
}

//go:embed *.lua
var files embed.FS

// The scripts, each described by the header of its file.
var (
	PlaceHold     = script("place_hold")
	EnsureHold    = script("ensure_hold")
	ConfirmHold   = script("confirm_hold")
	ReleaseHold   = script("release_hold")
	ReadProduct   = script("read_product")
	MarkWarm      = script("mark_warm")
	UnmarkWarm    = script("unmark_warm")
	SeedProduct   = script("seed_product")
	PutFacts      = script("put_facts")
	ListPlaces    = script("list_places")
	MarkUsers     = script("mark_users")
	CorrectPlaces = script("correct_places")
	ReadPlaces    = script("read_places")
	ListLongHolds = script("list_long_holds")
)

// Scripts lists every Script.
var Scripts = []Script{
	PlaceHold, EnsureHold, ConfirmHold, ReleaseHold, ReadProduct,
	MarkWarm, UnmarkWarm, SeedProduct, PutFacts, ListPlaces, MarkUsers, CorrectPlaces,
	ReadPlaces, ListLongHolds,
}

func script(name string) Script {
	source, err := files.ReadFile(name + ".lua")
	if err != nil {
		panic(err) // no such file was built in
	}
	digest := sha1.Sum(source)
	return Script{Name: name, Source: string(source), SHA: hex.EncodeToString(digest[:])}
}
