package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// show prints the table of what was measured, and judges nothing.
func show(t *testing.T, r *report) {
	t.Helper()
	r.unjudged()
	if err := r.print(t.Output()); err != nil {
		t.Error(err)
	}
}

// measuredQuickly runs a group as -quick does, and gives what it told.
func measuredQuickly(t *testing.T, dir string, group func(context.Context, *bench) error) map[string]measure {
	t.Helper()
	b := &bench{config: config{root: "../../..", dir: dir, rounds: 1, quick: true, out: io.Discard}, work: t.TempDir()}
	err := group(t.Context(), b)
	skipWithoutServers(t, err)
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]measure{}
	for _, m := range b.report.measures {
		if told[m.ID].ID != "" {
			t.Errorf("%s is told twice", m.ID)
		}
		told[m.ID] = m
	}
	show(t, &b.report)
	return told
}

// The scripts answer what is expected at every size, and the server counts each call of them; how fast is no matter here.
func TestGateGroup(t *testing.T) {
	told := measuredQuickly(t, t.TempDir(), gateGroup)
	for _, id := range []string{"3a", "3b", "4a", "4b", "4c", "4d", "5a", "5b"} {
		if m, ok := told[id]; !ok || *m.Ratio <= 0 {
			t.Errorf("%s: %+v", id, m)
		}
	}
}

// A hello-world in place of a function is as large as the hello-world.
func TestStartGroup(t *testing.T) {
	b := &bench{config: config{root: "../../.."}, work: t.TempDir()}
	p, err := b.build(t.Context(), "hello", helloPackage, "lambda.norpc")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Dir(p.path), filepath.Join(dir, "bin", "GreetFunction")); err != nil {
		t.Fatal(err)
	}
	told := measuredQuickly(t, dir, startGroup)
	for _, id := range []string{"11-greet", "12a-greet", "dep-http", "dep-http-binary"} {
		if m, ok := told[id]; !ok || m.Ratio == nil {
			t.Errorf("%s: %+v", id, m)
		}
	}
	if size := told["12a-greet"]; *size.Ratio != 1 {
		t.Errorf("its size is %v of its own", *size.Ratio)
	}
}

func TestAStartThatFails(t *testing.T) {
	api, err := listenForNext()
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	path := filepath.Join(t.TempDir(), "bootstrap")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho it is misconfigured >&2\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := api.start(t.Context(), program{path: path}, nil); err == nil || !strings.Contains(err.Error(), "it is misconfigured") {
		t.Errorf("%v", err)
	}
}
