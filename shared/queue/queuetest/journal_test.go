package queuetest_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"stayhold/shared/queue/queuetest"
)

const q = `"QueueUrl":"http://h/000000000000/q"`

// filled gives a directory with a queue q that holds the messages a, b and c.
func filled(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	s := open(t, queuetest.Options{Dir: dir})
	if err := s.EnsureQueue("q", map[string]string{"VisibilityTimeout": "600"}); err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{"a", "b", "c"} {
		call(t, s, "SendMessage", `{`+q+`,"MessageBody":"`+body+`"}`)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// take receives up to ten messages and gives them as decoded.
func take(t *testing.T, s *queuetest.Server) []map[string]any {
	t.Helper()
	_, answer := call(t, s, "ReceiveMessage", `{`+q+`,"MaxNumberOfMessages":10,"MessageSystemAttributeNames":["All"]}`)
	list, _ := answer["Messages"].([]any)
	var messages []map[string]any
	for _, m := range list {
		if m, ok := m.(map[string]any); ok {
			messages = append(messages, m)
		}
	}
	return messages
}

func TestMessagesSurviveARestart(t *testing.T) {
	t.Parallel()
	dir := filled(t)
	s := open(t, queuetest.Options{Dir: dir})
	got := take(t, s)
	if len(got) != 3 || got[0]["Body"] != "a" || got[2]["Body"] != "c" {
		t.Fatalf("after the restart: %v", got)
	}
	handle := func(i int) string { return `"ReceiptHandle":"` + got[i]["ReceiptHandle"].(string) + `"` }
	call(t, s, "DeleteMessage", `{`+q+`,`+handle(0)+`}`)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = open(t, queuetest.Options{Dir: dir})
	if again := take(t, s); len(again) != 0 {
		t.Errorf("in flight, and received by another: %v", again)
	}
	// A handle still acts in the next process.
	call(t, s, "DeleteMessage", `{`+q+`,`+handle(1)+`}`)
	response, answer := call(t, s, "ChangeMessageVisibility", `{`+q+`,`+handle(2)+`,"VisibilityTimeout":0}`)
	if response.status != 200 {
		t.Errorf("change of visibility: %v", answer)
	}
	last := take(t, s)
	if len(last) != 1 || last[0]["Body"] != "c" {
		t.Fatalf("left: %v", last)
	}
	if count := last[0]["Attributes"].(map[string]any)["ApproximateReceiveCount"]; count != "2" {
		t.Errorf("receive count %v, want 2", count)
	}
	_, answer = call(t, s, "GetQueueAttributes", `{`+q+`,"AttributeNames":["VisibilityTimeout"]}`)
	if answer["Attributes"].(map[string]any)["VisibilityTimeout"] != "600" {
		t.Errorf("attributes %v", answer)
	}
}

// A process that is killed leaves no closed file behind, and perhaps half a line.
func TestTornLineIsCutOff(t *testing.T) {
	t.Parallel()
	dir := filled(t)
	path := filepath.Join(dir, "queues.log")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for length := len(whole) - 1; length > len(whole)-40; length -= 13 {
		if err := os.WriteFile(path, whole[:length], 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, queuetest.Options{Dir: dir})
		call(t, s, "SendMessage", `{`+q+`,"MessageBody":"d"}`)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, queuetest.Options{Dir: dir})
		if got := take(t, s); len(got) != 3 || got[2]["Body"] != "d" {
			t.Errorf("cut to %d: %v", length, got)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDamageStopsTheStart(t *testing.T) {
	t.Parallel()
	dir := filled(t)
	path := filepath.Join(dir, "queues.log")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(whole), `"op":"put"`, `"op":"pu`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := queuetest.New(queuetest.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("opened %v, %v", s, err)
	}
}

func TestOneProcessPerDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := open(t, queuetest.Options{Dir: dir})
	if _, err := queuetest.New(queuetest.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("opened twice: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, queuetest.Options{Dir: dir})
}

func TestPurgeAllKeepsQueues(t *testing.T) {
	t.Parallel()
	dir := filled(t)
	s := open(t, queuetest.Options{Dir: dir})
	if err := s.PurgeAll(); err != nil {
		t.Fatal(err)
	}
	if got := take(t, s); len(got) != 0 {
		t.Errorf("after the purge: %v", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, queuetest.Options{Dir: dir})
	if got := take(t, s); len(got) != 0 {
		t.Errorf("after purge and restart: %v", got)
	}
	if response, answer := call(t, s, "SendMessage", `{`+q+`,"MessageBody":"new"}`); response.status != 200 {
		t.Errorf("the queue is gone: %v", answer)
	}
}

func TestEnsureQueueChangesAttributes(t *testing.T) {
	t.Parallel()
	s := open(t, queuetest.Options{})
	for _, seconds := range []string{"30", "360"} {
		if err := s.EnsureQueue("q", map[string]string{"VisibilityTimeout": seconds}); err != nil {
			t.Fatal(err)
		}
		_, answer := call(t, s, "GetQueueAttributes", `{`+q+`,"AttributeNames":["All"]}`)
		if got := answer["Attributes"].(map[string]any)["VisibilityTimeout"]; got != seconds {
			t.Errorf("VisibilityTimeout %v, want %s", got, seconds)
		}
	}
}

// A long run does not leave a long journal: the file is rewritten while it is used.
func TestJournalIsRewritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, queuetest.Options{Dir: dir})
	if err := s.EnsureQueue("q", map[string]string{"VisibilityTimeout": "0"}); err != nil {
		t.Fatal(err)
	}
	call(t, s, "SendMessage", `{`+q+`,"MessageBody":"kept"}`)
	most := 0
	for range 4100 {
		if got := take(t, s); len(got) != 1 {
			t.Fatalf("received %v", got)
		}
		most++
	}
	content, err := os.ReadFile(filepath.Join(dir, "queues.log"))
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(content), "\n"); lines > 1000 {
		t.Errorf("%d lines after %d receives", lines, most)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, queuetest.Options{Dir: dir})
	got := take(t, s)
	if len(got) != 1 || got[0]["Attributes"].(map[string]any)["ApproximateReceiveCount"] != strconv.Itoa(most+1) {
		t.Errorf("after the restart: %v", got)
	}
}
