package http2

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
)

// raw is a codec of strings.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error)   { return []byte(*v.(*string)), nil }
func (raw) Unmarshal(b []byte, v any) error { *v.(*string) = string(b); return nil }
func (raw) Name() string                    { return "raw" }

// calls is a service whose methods answer with their server's name and what they got.
type calls struct {
	name     string
	canceled chan struct{} // gets one for each call that the caller has canceled
}

func (c *calls) unary(ctx context.Context, in string) (string, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	grpc.SetHeader(ctx, metadata.Pairs("server", c.name))
	grpc.SetTrailer(ctx, metadata.Pairs("after", strings.Join(md.Get("id"), ",")))
	switch in {
	case "fail":
		return "", status.Error(codes.FailedPrecondition, "100% wrong: ü")
	case "wait":
		<-ctx.Done()
		c.canceled <- struct{}{}
		return "", ctx.Err()
	}
	return c.name + " " + in, nil
}

func (c *calls) stream(s grpc.ServerStream) error {
	s.SetTrailer(metadata.Pairs("after", c.name))
	for {
		var in string
		if err := s.RecvMsg(&in); err == io.EOF {
			return nil
		} else if err != nil {
			c.canceled <- struct{}{}
			return err
		}
		out := c.name + " " + in
		if err := s.SendMsg(&out); err != nil {
			return err
		}
	}
}

// serveCalls returns the address of a gRPC server.
func serveCalls(t testing.TB, c *calls, options ...grpc.ServerOption) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(append(options, grpc.ForceServerCodec(raw{}))...)
	s.RegisterService(&grpc.ServiceDesc{ServiceName: "test.Calls", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Unary", Handler: func(srv any, ctx context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var in string
			if err := dec(&in); err != nil {
				return nil, err
			}
			out, err := srv.(*calls).unary(ctx, in)
			return &out, err
		}}},
		Streams: []grpc.StreamDesc{{StreamName: "Stream", ClientStreams: true, ServerStreams: true,
			Handler: func(srv any, s grpc.ServerStream) error { return srv.(*calls).stream(s) }}},
	}, c)
	go s.Serve(listener)
	t.Cleanup(s.Stop)
	return listener.Addr().String()
}

// grpcClient returns a client whose connections go through Serve.
func (l *lab) grpcClient() *grpc.ClientConn {
	c, err := grpc.NewClient("passthrough:///service", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return l.connect(), nil }))
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { c.Close() })
	return c
}

func call(ctx context.Context, c *grpc.ClientConn, in string, options ...grpc.CallOption) (string, error) {
	var out string
	err := c.Invoke(ctx, "/test.Calls/Unary", &in, &out, options...)
	return out, err
}

func TestGRPC(t *testing.T) {
	app := &calls{name: "app", canceled: make(chan struct{}, 100)}
	laptop := &calls{name: "laptop", canceled: make(chan struct{}, 100)}
	l := newLab(t, &farEnd{address: serveCalls(t, app)})
	l.set("laptop", http.Decision{To: &farEnd{address: serveCalls(t, laptop), gone: make(chan struct{})}})
	l.set("nobody", http.Decision{Answer: &http.Answer{Status: 503, GRPC: 14, Body: "it has ended: 100 %"}})
	c := l.grpcClient()
	for _, to := range []*calls{app, laptop} {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "to", to.name, "id", "7")
		t.Run(to.name+" unary", func(t *testing.T) {
			var head, trailer metadata.MD
			out, err := call(ctx, c, "x", grpc.Header(&head), grpc.Trailer(&trailer))
			if out != to.name+" x" || err != nil || head.Get("server")[0] != to.name || trailer.Get("after")[0] != "7" {
				t.Errorf("%q, %v, %v, %v", out, err, head, trailer)
			}
		})
		t.Run(to.name+" error", func(t *testing.T) {
			_, err := call(ctx, c, "fail")
			if s := status.Convert(err); s.Code() != codes.FailedPrecondition || s.Message() != "100% wrong: ü" {
				t.Error(err)
			}
		})
		t.Run(to.name+" deadline", func(t *testing.T) {
			ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
			defer cancel()
			_, err := call(ctx, c, "wait")
			if status.Code(err) != codes.DeadlineExceeded {
				t.Error(err)
			}
			<-to.canceled
		})
		t.Run(to.name+" unknown method", func(t *testing.T) {
			var in, out string
			if err := c.Invoke(ctx, "/test.Calls/Nothing", &in, &out); status.Code(err) != codes.Unimplemented {
				t.Error(err)
			}
		})
		t.Run(to.name+" stream", func(t *testing.T) {
			s := openStream(t, ctx, c)
			for k := range 100 {
				in := strings.Repeat(fmt.Sprint(k), 1+k*100)
				if out, err := exchangeOn(s, in); out != to.name+" "+in || err != nil {
					t.Fatalf("%d: %d bytes, %v", k, len(out), err)
				}
			}
			s.CloseSend()
			var out string
			if err := s.RecvMsg(&out); err != io.EOF || s.Trailer().Get("after")[0] != to.name {
				t.Errorf("%v, %v", err, s.Trailer())
			}
		})
		t.Run(to.name+" cancel", func(t *testing.T) {
			ctx, cancel := context.WithCancel(ctx)
			s := openStream(t, ctx, c)
			if _, err := exchangeOn(s, "x"); err != nil {
				t.Fatal(err)
			}
			cancel()
			<-to.canceled
		})
	}
	t.Run("answer", func(t *testing.T) {
		_, err := call(metadata.AppendToOutgoingContext(t.Context(), "to", "nobody"), c, "x")
		if s := status.Convert(err); s.Code() != codes.Unavailable || s.Message() != "it has ended: 100 %" {
			t.Error(err)
		}
	})
}

func openStream(t *testing.T, ctx context.Context, c *grpc.ClientConn) grpc.ClientStream {
	s, err := c.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/test.Calls/Stream")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func exchangeOn(s grpc.ClientStream, in string) (out string, err error) {
	if err := s.SendMsg(&in); err != nil {
		return "", err
	}
	return out, s.RecvMsg(&out)
}

// An intercept that ends has its calls end as those of a server that goes away, before
// their answer and within it. Later calls are the application's.
func TestGone(t *testing.T) {
	app := &calls{name: "app", canceled: make(chan struct{}, 100)}
	laptop := &calls{name: "laptop", canceled: make(chan struct{}, 100)}
	l := newLab(t, &farEnd{address: serveCalls(t, app)})
	far := &farEnd{address: serveCalls(t, laptop), gone: make(chan struct{})}
	l.set("laptop", http.Decision{To: far})
	c := l.grpcClient()
	ctx := metadata.AppendToOutgoingContext(t.Context(), "to", "laptop")
	s := openStream(t, ctx, c)
	if _, err := exchangeOn(s, "x"); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := call(ctx, c, "wait"); status.Code(err) != codes.Unavailable {
			t.Error(err)
		}
	})
	for far.arrived.Load() < 2 {
		if _, err := exchangeOn(s, "x"); err != nil {
			t.Fatal(err)
		}
	}
	l.set("laptop", http.Decision{To: l.app})
	close(far.gone)
	var out string
	if err := s.RecvMsg(&out); status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
	wg.Wait()
	if out, err := call(ctx, c, "x"); out != "app x" || err != nil {
		t.Errorf("%q, %v", out, err)
	}
}

// What a laptop does not take is where Missed says.
func TestMissed(t *testing.T) {
	l := newLab(t, &farEnd{address: serveCalls(t, &calls{name: "app"})})
	far := &farEnd{address: "127.0.0.1:1", gone: make(chan struct{}), instead: http.Decision{To: l.app}}
	away := &farEnd{address: "127.0.0.1:1", gone: make(chan struct{}), instead: http.Decision{Answer: &http.Answer{Status: 502, GRPC: 14, Body: "away"}}}
	l.set("laptop", http.Decision{To: far})
	l.set("away", http.Decision{To: away})
	c := l.grpcClient()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if out, err := call(metadata.AppendToOutgoingContext(t.Context(), "to", "laptop"), c, "x"); out != "app x" || err != nil {
				t.Errorf("%q, %v", out, err)
			}
			_, err := call(metadata.AppendToOutgoingContext(t.Context(), "to", "away"), c, "x")
			if s := status.Convert(err); s.Code() != codes.Unavailable || s.Message() != "away" {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if far.missed.Load() != 20 || far.arrived.Load() != 20 || away.missed.Load() != 20 {
		t.Errorf("%d of %d missed", far.missed.Load(), far.arrived.Load())
	}
}
