package queuetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

const (
	opQueue = "queue" // a queue and its attributes, new or changed
	opPut   = "put"   // a message, new or in place of the one with its ID
	opDrop  = "drop"  // a message gone
	opPurge = "purge" // all messages gone

	journalName = "queues.log"
	lockName    = "queues.lock"
	// A journal is rewritten when it has this many more lines than twice the messages.
	slackLines = 4000
)

// change is one step of the state. A line of the journal is an array of them, which
// happen together or not at all.
type change struct {
	Op         string            `json:"op"`
	Queue      string            `json:"queue"`
	Attributes map[string]string `json:"attributes,omitempty"`
	Created    int64             `json:"created,omitempty"`
	Modified   int64             `json:"modified,omitempty"`
	Message    *message          `json:"message,omitempty"`
	ID         string            `json:"id,omitempty"`
}

// journal is the append-only file of all changes. A line counts once its newline
// is written. After a failed write the file is cut back to the last whole line;
// if that fails too, the journal takes no more changes.
type journal struct {
	dir    string
	lock   *os.File
	file   *os.File
	size   int64
	lines  int
	broken error
}

func openJournal(dir string) (*journal, []change, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, nil, fmt.Errorf("queuetest: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, nil, fmt.Errorf("queuetest: %w", err)
	}
	// Released by the kernel when the process ends, however it ends.
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("queuetest: %s is in use by another process: %w", dir, err), lock.Close())
	}
	j := &journal{dir: dir, lock: lock}
	changes, err := readJournal(filepath.Join(dir, journalName))
	if err != nil {
		return nil, nil, errors.Join(err, j.close())
	}
	return j, changes, nil
}

func readJournal(path string) ([]change, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("queuetest: %w", err)
	}
	var all []change
	for line := 1; ; line++ {
		text, rest, whole := bytes.Cut(content, []byte("\n"))
		if !whole {
			// What follows the last newline was torn by the end of the process, and
			// nobody was told that it is stored.
			return all, nil
		}
		var changes []change
		if err := json.Unmarshal(text, &changes); err != nil {
			return nil, fmt.Errorf("queuetest: %s is damaged at line %d (delete it to begin with no messages): %w", path, line, err)
		}
		all = append(all, changes...)
		content = rest
	}
}

func (j *journal) append(changes []change) error {
	if j.broken != nil {
		return j.broken
	}
	line, err := json.Marshal(changes)
	if err != nil {
		return fmt.Errorf("queuetest: %w", err)
	}
	line = append(line, '\n')
	if _, err := j.file.WriteAt(line, j.size); err != nil {
		if cut := j.file.Truncate(j.size); cut != nil {
			j.broken = fmt.Errorf("queuetest: the journal takes no more: %w", errors.Join(err, cut))
			return j.broken
		}
		return fmt.Errorf("queuetest: %w", err)
	}
	j.size += int64(len(line))
	j.lines++
	return nil
}

func (j *journal) bloated(messages int) bool { return j.lines > 2*messages+slackLines }

// rewrite puts the changes in place of the whole journal: a new file beside it,
// then one rename. A failure leaves the old journal in use.
func (j *journal) rewrite(changes []change) (err error) {
	file, err := os.CreateTemp(j.dir, journalName+".*")
	if err != nil {
		return fmt.Errorf("queuetest: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("queuetest: %w", err), file.Close(), os.Remove(file.Name()))
		}
	}()
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	for _, c := range changes {
		if err = enc.Encode([]change{c}); err != nil {
			return err
		}
	}
	size := int64(text.Len())
	if _, err = io.Copy(file, &text); err != nil {
		return err
	}
	if err = file.Sync(); err != nil {
		return err
	}
	if err = os.Rename(file.Name(), filepath.Join(j.dir, journalName)); err != nil {
		return err
	}
	old := j.file
	j.file, j.size, j.lines, j.broken = file, size, len(changes), nil
	if old != nil {
		// The replaced file has no name any more, and nothing in it is needed.
		_ = old.Close()
	}
	return nil
}

func (j *journal) close() error {
	var errs []error
	if j.file != nil {
		errs = append(errs, j.file.Close())
	}
	// Unlocked by name: a child that is just being started may still hold the file
	// open, and with it a lock that only its last copy gives back.
	errs = append(errs, syscall.Flock(int(j.lock.Fd()), syscall.LOCK_UN), j.lock.Close())
	return errors.Join(errs...)
}
