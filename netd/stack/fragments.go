package stack

import (
	"net/netip"
	"time"
)

const (
	// maxParcels is how many large pings may be in pieces at once.
	maxParcels = 64
	parcelLife = 15 * time.Second
)

// fragments puts large ICMP messages together. One goroutine uses it.
type fragments struct {
	parcels map[parcelKey]*parcel
	now     func() time.Time
}

type parcelKey struct {
	src, dst netip.Addr
	id       uint32
}

type parcel struct {
	since time.Time
	data  []byte
	have  []span // sorted, apart from each other
	size  int    // of the whole; -1 until the last piece came
}

type span struct{ from, to int }

// add takes a piece and returns the message once it is whole.
func (f *fragments) add(p icmpPacket) []byte {
	end := p.offset + len(p.body)
	if len(p.body) == 0 || end > maxPacket || p.more && len(p.body)%8 != 0 {
		return nil
	}
	now, key := f.now(), parcelKey{p.src, p.dst, p.id}
	q := f.parcels[key]
	if q != nil && now.Sub(q.since) > parcelLife {
		q = nil
	}
	if q == nil {
		if f.parcels == nil {
			f.parcels = map[parcelKey]*parcel{}
		}
		f.makeRoom(now)
		q = &parcel{since: now, size: -1}
		f.parcels[key] = q
	}
	if !p.more {
		q.size = end
	}
	if end > len(q.data) {
		q.data = append(q.data, make([]byte, end-len(q.data))...)
	}
	copy(q.data[p.offset:], p.body)
	q.add(span{p.offset, end})
	if q.size < 0 || q.have[0].from > 0 || q.have[0].to < q.size {
		return nil
	}
	delete(f.parcels, key)
	return q.data[:q.size]
}

// makeRoom drops what is too old, else the oldest.
func (f *fragments) makeRoom(now time.Time) {
	var oldest parcelKey
	var since time.Time
	for k, q := range f.parcels {
		if now.Sub(q.since) > parcelLife {
			delete(f.parcels, k)
		} else if since.IsZero() || q.since.Before(since) {
			oldest, since = k, q.since
		}
	}
	if len(f.parcels) >= maxParcels {
		delete(f.parcels, oldest)
	}
}

func (q *parcel) add(s span) {
	kept := q.have[:0:0]
	placed := false
	for _, h := range q.have {
		switch {
		case h.to < s.from:
			kept = append(kept, h)
		case s.to < h.from:
			if !placed {
				kept, placed = append(kept, s), true
			}
			kept = append(kept, h)
		default:
			s = span{min(s.from, h.from), max(s.to, h.to)}
		}
	}
	if !placed {
		kept = append(kept, s)
	}
	q.have = kept
}
