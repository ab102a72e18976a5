package harness

import (
	"os"
	"testing"
	"time"
)

func TestProcessesAreRead(t *testing.T) {
	p := Process{PID: 9, Args: "/srv/bin/ReserveFunction/bootstrap "}
	if !p.readStat("9 (a) odd) name) S 4 9 9 0 -1 0 1 2 3 4 150 50 20 10 20 0") || p.Parent != 4 || p.CPU != 2*time.Second || p.ChildCPU != 300*time.Millisecond {
		t.Errorf("%+v", p)
	}
	if p.readStat("9 (gone) Z 4 9 9 0 -1 0 1 2 3 4 150 50 20 10 20 0") || p.readStat("9 (torn) S 4") {
		t.Error("what is no process was read as one")
	}
	if name, other := p.Function(), (Process{Args: "redis-server 127.0.0.1:1"}).Function(); name != "ReserveFunction" || other != "" {
		t.Errorf("functions are called %q and %q", name, other)
	}
}

func TestFamilies(t *testing.T) {
	all := []Process{{PID: 5, Parent: 3}, {PID: 3, Parent: 2}, {PID: 2}, {PID: 7}, {PID: 8, Parent: 7}}
	if got := Family(2, all); len(got) != 3 {
		t.Errorf("%+v", got)
	}
}

func TestThisProcessIsThere(t *testing.T) {
	all, err := Processes()
	if err != nil {
		t.Fatal(err)
	}
	me := Family(os.Getpid(), all)
	if len(me) == 0 || me[0].PID != os.Getpid() || me[0].Parent != os.Getppid() {
		t.Fatalf("this process is not what the list says: %+v", me)
	}
	if now, peak, ok := me[0].Memory(); !ok || now < 1 || peak < now {
		t.Errorf("memory %v, peak %v, %v", now, peak, ok)
	}
	if _, _, ok := (Process{PID: 1 << 30}).Memory(); ok {
		t.Error("a process that is not there has memory")
	}
}
