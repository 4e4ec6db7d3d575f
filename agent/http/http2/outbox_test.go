package http2

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestQueue: the bytes come out as they went in, and an empty queue holds no memory.
func TestQueue(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var q queue
	var want []byte
	next := byte(0)
	for range 10_000 {
		p := make([]byte, random.IntN(40<<10)>>random.IntN(16))
		for i := range p {
			p[i] = next
			next++
		}
		q.push(p)
		want = append(want, p...)
		n := random.IntN(q.len() + 1)
		if random.IntN(4) == 0 {
			n = q.len()
		}
		if !bytes.Equal(q.first(n), want[:n]) {
			t.Fatalf("the first %d bytes are not those that were pushed", n)
		}
		q.skip(n)
		if want = want[n:]; q.len() != len(want) {
			t.Fatalf("%d bytes are left, not %d", q.len(), len(want))
		}
		if q.len() == 0 && q.box != nil {
			t.Fatal("an empty queue holds memory")
		}
	}
	q.push([]byte("more"))
	if n := q.drop(); n != len(want)+4 || q.len() != 0 || q.box != nil {
		t.Errorf("drop: %d bytes of %d", n, len(want)+4)
	}
}

// TestQueueMemory: a queue that fills and empties costs no memory.
func TestQueueMemory(t *testing.T) {
	var q queue
	p := make([]byte, 16<<10)
	turn := func() {
		for range 3 {
			q.push(p)
		}
		for q.len() > 0 {
			q.skip(len(p))
		}
	}
	turn()
	if n := testing.AllocsPerRun(100, turn); n > 0 {
		t.Errorf("%.1f allocations", n)
	}
}
