package paymentgatewaytest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
)

const journalName = "ledger.jsonl"

// journal is a file of records, one JSON line each. Writers share an fsync: sync
// returns when every record written before it is on disk.
type journal struct {
	file *os.File

	mu      sync.Mutex
	size    int64 // bytes of whole records
	written int   // records

	syncing sync.Mutex
	synced  int
}

// openJournal opens the file in dir, makes both if need be, and applies every record.
// A last line that was cut off is dropped: nobody was told of it.
func openJournal(dir string, apply func(record)) (*journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("payment simulator: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, journalName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("payment simulator: %w", err)
	}
	j := &journal{file: f}
	err = j.replay(apply)
	if err == nil {
		err = syncDir(dir) // the new file's name has to last as well
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("payment simulator: %w", err), f.Close())
	}
	return j, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (j *journal) replay(apply func(record)) error {
	all, err := io.ReadAll(j.file)
	if err != nil {
		return err
	}
	for {
		end := bytes.IndexByte(all[j.size:], '\n')
		if end < 0 {
			break
		}
		var r record
		if err := json.Unmarshal(all[j.size:][:end], &r); err != nil {
			return fmt.Errorf("%s is damaged at byte %d: %w", journalName, j.size, err)
		}
		apply(r)
		j.size += int64(end) + 1
	}
	return j.file.Truncate(j.size)
}

// append writes the record and returns its number, for sync. A record that could not
// be written whole is taken back.
func (j *journal) append(r record) (int, error) {
	line, err := json.Marshal(r)
	if err != nil {
		return 0, err
	}
	line = append(line, '\n')
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, err := j.file.WriteAt(line, j.size); err != nil {
		return 0, errors.Join(err, j.file.Truncate(j.size))
	}
	j.size += int64(len(line))
	j.written++
	return j.written, nil
}

// sync returns when the record of that number is on disk.
func (j *journal) sync(number int) error {
	j.syncing.Lock()
	defer j.syncing.Unlock()
	if j.synced >= number {
		return nil
	}
	j.mu.Lock()
	written := j.written
	j.mu.Unlock()
	if err := j.file.Sync(); err != nil {
		return err
	}
	j.synced = written
	return nil
}

func (j *journal) empty() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.file.Truncate(0); err != nil {
		return err
	}
	j.size = 0
	return j.file.Sync()
}

func (j *journal) close() error {
	return errors.Join(j.file.Sync(), j.file.Close())
}
