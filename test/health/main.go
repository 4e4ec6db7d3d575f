// Health is a gRPC server that says it is well, and the client that asks it:
//
//	health -listen :50051
//	health -check greeter:50051 -times 100
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
)

// patience is how long a client tries.
const patience = 30 * time.Second

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "health:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("health", flag.ContinueOnError)
	listen := flags.String("listen", "", "address to serve at")
	check := flags.String("check", "", "server to ask")
	times := flags.Int("times", 1, "how often to ask, all at once")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch {
	case *listen != "":
		return serve(*listen)
	case *check != "":
		return ask(*check, *times)
	}
	return errors.New("-listen or -check is needed")
}

func serve(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	s := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(s, health.NewServer())
	reflection.Register(s)
	return s.Serve(l)
}

// ask asks over one connection: each time once, and once for a stream.
func ask(addr string, times int) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	client := grpc_health_v1.NewHealthClient(conn)
	failed := make(chan error, 2*times)
	var all sync.WaitGroup
	for range times {
		all.Go(func() { failed <- once(ctx, client) })
		all.Go(func() { failed <- stream(ctx, client) })
	}
	all.Wait()
	close(failed)
	for err := range failed {
		if err != nil {
			return err
		}
	}
	fmt.Printf("%s is well, said %d times\n", addr, 2*times)
	return nil
}

func once(ctx context.Context, client grpc_health_v1.HealthClient) error {
	resp, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{}, grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	return well(resp)
}

func stream(ctx context.Context, client grpc_health_v1.HealthClient) error {
	w, err := client.Watch(ctx, &grpc_health_v1.HealthCheckRequest{}, grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	resp, err := w.Recv()
	if err != nil {
		return err
	}
	return well(resp)
}

func well(resp *grpc_health_v1.HealthCheckResponse) error {
	if resp.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		return fmt.Errorf("it is %s", resp.Status)
	}
	return nil
}
