package pause

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// stopTime bounds how long the threads of a container may take until all have stopped.
	stopTime = 5 * time.Second
	// scanPause is the pause between two looks at the container's threads.
	scanPause = 2 * time.Millisecond
	// diskTime is how long a thread may be within the kernel, where nothing interrupts it,
	// until it counts as stopped: it stops before it runs its program again.
	diskTime = time.Second
	// reapEvery is how often threads are looked after that were killed while they were
	// stopped: their parents hear of it when the tracer has.
	reapEvery = 250 * time.Millisecond
)

// members returns the processes to stop, as environ.Proc.Members does.
type members func() ([]int, error)

// hold stops the processes of a container, calls stopped, and lets them go on when ctx ends. If
// it cannot stop them all, it stops none, and the error says why.
func hold(ctx context.Context, of members, stopped func(threads int)) (err error) {
	apart(func() {
		t := &tracer{held: map[int]bool{}, self: unix.Gettid()}
		defer t.release()
		if err = t.stop(ctx, of); err != nil {
			return
		}
		stopped(len(t.held))
		tick := time.NewTicker(reapEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if err = t.reap(); err != nil {
				return
			}
			if len(t.held) == 0 {
				err = fmt.Errorf("the container has ended")
				return
			}
		}
	})
	return err
}

// stop stops every process. What they make meanwhile is held from its beginning, and what had
// not been seen yet is found by another look, until a look finds nothing new.
func (t *tracer) stop(ctx context.Context, of members) error {
	began := time.Now()
	for {
		found, err := t.look(of)
		if err == nil {
			err = t.reap()
		}
		if err != nil {
			return err
		}
		running := t.running()
		if found == 0 && (len(running) == 0 || time.Since(began) > diskTime && !slices.ContainsFunc(running, interruptible)) {
			return nil
		}
		if time.Since(began) > stopTime {
			return fmt.Errorf("stop the container: after %s, threads of it still run: %d new ones, and of those from before %d", stopTime, found, running)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(scanPause):
		}
	}
}

// look seizes the threads that are not held yet, and counts them.
func (t *tracer) look(of members) (found int, err error) {
	pids, err := of()
	if err != nil {
		return 0, fmt.Errorf("stop the container: %w", err)
	}
	for _, pid := range pids {
		for _, tid := range threads(pid) {
			if _, held := t.held[tid]; held {
				continue
			}
			gone, err := t.seize(pid, tid)
			if err != nil {
				return 0, err
			}
			if !gone {
				found++
			}
		}
	}
	return found, nil
}

// interruptible says that a thread is not within the kernel where nothing interrupts it.
func interruptible(tid int) bool {
	s, err := readThread(tid, tid)
	return err == nil && s.state != 'D'
}
