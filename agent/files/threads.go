package files

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// threads run functions with the rights of an identity. The kernel has the rights of a
// process for each of its threads, so a few threads have those of the identity and do nothing
// else. A nil *threads runs functions where they are called.
type threads struct {
	jobs  chan func()
	close sync.Once
}

// workers is how many functions run at the same time.
const workers = 8

// newThreads returns nil if the process has the identity's rights already.
func newThreads(id Identity) (*threads, error) {
	if own, err := ownIdentity(); err != nil || same(own, id) {
		return nil, err
	}
	t := &threads{jobs: make(chan func())}
	for range workers {
		ready := make(chan error)
		go onThread(func() {
			err := become(id)
			ready <- err
			if err != nil {
				return
			}
			for job := range t.jobs {
				job()
			}
		})
		if err := <-ready; err != nil {
			t.stop()
			return nil, err
		}
	}
	return t, nil
}

// onThread runs f on a thread that ends with it, so that its rights come to nothing else. The
// main thread cannot end, and is what others see as the process: f does not run there.
func onThread(f func()) {
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		f()
		return
	}
	begun := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		close(begun)
		f()
	}()
	<-begun // until then this goroutine keeps the main thread
	runtime.UnlockOSThread()
}

func (t *threads) stop() {
	if t != nil {
		t.close.Do(func() { close(t.jobs) })
	}
}

// do runs f and returns its error.
func (t *threads) do(f func() error) error {
	if t == nil {
		return f()
	}
	done := make(chan error, 1)
	t.jobs <- func() { done <- f() }
	return <-done
}

// same says that a process with the rights own has those of id. More capabilities would be
// too many.
func same(own, id Identity) bool {
	a, b := slices.Clone(own.Groups), slices.Clone(id.Groups)
	slices.Sort(a)
	slices.Sort(b)
	// The kernel has fewer bits for capabilities than the process may ask for.
	return own.UID == id.UID && own.GID == id.GID && slices.Equal(a, b) && own.Caps&^id.Caps == 0
}

func ownIdentity() (Identity, error) {
	f, err := os.Open("/proc/thread-self/status")
	if err != nil {
		return Identity{}, err
	}
	defer f.Close()
	return ReadIdentity(f)
}

// become gives the calling thread the rights of id.
func become(id Identity) error {
	groups := append(slices.Clone(id.Groups), 0) // so that it has an address
	if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(id.Groups)), uintptr(unsafe.Pointer(&groups[0])), 0); errno != 0 {
		return fmt.Errorf("take the groups of the container's process: %w", errno)
	}
	if err := setID(unix.SetfsgidRetGid, id.GID); err != nil {
		return fmt.Errorf("take the group of the container's process: %w", err)
	}
	if err := setID(unix.SetfsuidRetUid, id.UID); err != nil {
		return fmt.Errorf("take the user of the container's process: %w", err)
	}
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&head, &data[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	for i := range data {
		have := data[i].Permitted & uint32(id.Caps>>(32*i))
		data[i] = unix.CapUserData{Effective: have, Permitted: have}
	}
	if err := unix.Capset(&head, &data[0]); err != nil {
		return fmt.Errorf("give up capabilities: %w", err)
	}
	return nil
}

// setID calls setfsuid or setfsgid, which report no errors: the second call says what the
// first has done.
func setID(set func(int) (int, error), id uint32) error {
	if _, err := set(int(id)); err != nil {
		return err
	}
	if now, err := set(-1); err != nil || uint32(now) != id {
		return errors.Join(err, unix.EPERM)
	}
	return nil
}
