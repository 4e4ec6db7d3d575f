//go:build linux && rootful

package files

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	agent "github.com/kubectl-intercept/kubectl-intercept/agent/files"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/volume"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/mount"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/files/copies"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/files/filestest"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/files/remote"
)

const servedRoot = "FILES_BENCH_ROOT"

// TestMain is the agent's process when a benchmark has started it.
func TestMain(m *testing.M) {
	if root := os.Getenv(servedRoot); root != "" {
		if err := agentProcess(root); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		return
	}
	m.Run()
}

// withTar is the first byte of a stream on which the process sends what tar writes, as kubectl
// cp has it.
const withTar = 'T'

func agentProcess(root string) error {
	dir, err := os.Open(root)
	if err != nil {
		return err
	}
	s, err := agent.New(agent.Config{Root: dir, Mounts: []volume.Mount{{Path: "/data"}}, Identity: user, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			r := bufio.NewReader(conn)
			if first, err := r.Peek(1); err == nil && first[0] == withTar {
				cmd := exec.Command("tar", "-C", root, "-cf", "-", "data")
				cmd.Stdout = conn
				_ = cmd.Run() // the reader sees what is missing
				conn.Close()
				return
			}
			_ = s.Serve(struct {
				io.Reader
				io.WriteCloser
			}{r, conn})
		}()
	}
}

// far starts a process with files, and returns how to reach it.
func far(b *testing.B, content map[string]string, latency time.Duration) remote.Dial {
	b.Helper()
	root := filepath.Join(b.TempDir(), "root")
	filestest.Fill(b, root, content)
	for dir := root; strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			b.Fatal(err)
		}
	}
	cmd := exec.CommandContext(b.Context(), "/proc/self/exe")
	cmd.Env = append(os.Environ(), servedRoot+"="+root)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return func(ctx context.Context) (io.ReadWriteCloser, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", strings.TrimSpace(address))
		if err != nil {
			return nil, err
		}
		return filestest.Slow(conn, latency), nil
	}
}

// ways are how the files come to a folder of this machine: by tar over one stream; by our
// copy; and by cp -r from the mount.
var ways = []struct {
	name string
	run  func(context.Context, remote.Dial, string) error
}{
	{"tar", func(ctx context.Context, dial remote.Dial, to string) error {
		stream, err := dial(ctx)
		if err != nil {
			return err
		}
		defer stream.Close()
		if _, err := stream.Write([]byte{withTar}); err != nil {
			return err
		}
		cmd := exec.CommandContext(ctx, "tar", "-C", to, "-xf", "-")
		cmd.Stdin = stream
		return cmd.Run()
	}},
	{"copy", func(ctx context.Context, dial remote.Dial, to string) error {
		c := remote.New(dial, time.Minute)
		defer c.Close()
		_, err := copies.Copy(ctx, c, to, copies.Options{Limit: 1 << 40})
		return err
	}},
	{"mount", func(ctx context.Context, dial remote.Dial, to string) error {
		tree, err := Start(ctx, Options{Dial: dial, How: mount.Auto, Records: filepath.Join(to, "records")})
		if err != nil {
			return err
		}
		defer tree.Close()
		out, err := exec.CommandContext(ctx, "cp", "-r", filepath.Join(tree.Dir, "data"), to).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}},
}

func bench(b *testing.B, content map[string]string, files int, bytes int64) {
	for _, latency := range []time.Duration{0, 10 * time.Millisecond} {
		for _, way := range ways {
			b.Run(fmt.Sprintf("%s/%v", way.name, 2*latency), func(b *testing.B) {
				dial := far(b, content, latency)
				for b.Loop() {
					b.StopTimer()
					to := b.TempDir()
					b.StartTimer()
					if err := way.run(b.Context(), dial, to); err != nil {
						b.Fatal(err)
					}
				}
				b.SetBytes(bytes)
				b.ReportMetric(float64(files*b.N)/b.Elapsed().Seconds(), "files/s")
			})
		}
	}
}

// BenchmarkSmall brings 10,000 files of 2 KiB, 100 in a folder.
func BenchmarkSmall(b *testing.B) {
	content := map[string]string{}
	for i := range 10_000 {
		content[fmt.Sprintf("data/%d/%d", i/100, i)] = strings.Repeat("0123456789abcdef", 128)
	}
	bench(b, content, len(content), int64(len(content))*2048)
}

// BenchmarkFlat brings 10,000 files of 2 KiB in one folder.
func BenchmarkFlat(b *testing.B) {
	content := map[string]string{}
	for i := range 10_000 {
		content[fmt.Sprintf("data/%d", i)] = strings.Repeat("0123456789abcdef", 128)
	}
	bench(b, content, len(content), int64(len(content))*2048)
}

// BenchmarkLarge brings one file of 256 MiB.
func BenchmarkLarge(b *testing.B) {
	const size = 256 << 20
	bench(b, map[string]string{"data/large": strings.Repeat("0123456789abcdef", size/16)}, 1, size)
}
