package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"stayhold/functions/local/sandbox"
)

// lockDir makes the folder and takes its lock, which lives as long as this process and bears its pid. The result gives
// it back.
func lockDir(dir string) (func(), error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("the folder %s: %w", dir, err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		owner, _ := bufio.NewReader(f).ReadString('\n')
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("another stack runs in %s (process %s): stop it, or use another folder with -dir", dir, strings.TrimSpace(owner))
		}
		return nil, err
	}
	if err := f.Truncate(0); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if _, err := fmt.Fprintf(f, "%d\n", os.Getpid()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() {
		// Closing is what frees the lock; an emptied file is a courtesy.
		_ = f.Truncate(0)
		_ = f.Close()
	}, nil
}

// writeEnv writes the file that tells other programs where everything is, for as long as the stack runs.
func (s *stack) writeEnv(context.Context) error {
	path := filepath.Join(s.dir, "env")
	text := ""
	for _, line := range [][2]string{
		{"API_URL", s.local(0)}, {"INVOKE_URL", s.local(1)}, {"DATABASE_URL", s.databaseURL}, {"REDIS_URL", s.redisURL},
		{"AWS_ENDPOINT_URL_SQS", s.sqsEndpoint}, {"COMPENSATION_QUEUE_URL", s.queueURL}, {"PAYMENT_GATEWAY_URL", s.gatewayURL},
	} {
		text += line[0] + "=" + line[1] + "\n"
	}
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		return err
	}
	s.later(callers, func(context.Context) {
		if err := os.Remove(path); err != nil {
			s.out.printf("%v", err)
		}
	})
	return os.Rename(path+".new", path)
}

// scheduled reports a scheduled call that failed; those that succeed are only in the function's log.
func (s *stack) scheduled(function string) func(sandbox.Result, error) {
	return func(r sandbox.Result, err error) {
		if err != nil || r.Failed {
			s.invoked(function, r, err)
		}
	}
}
