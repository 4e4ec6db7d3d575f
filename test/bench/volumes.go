package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/test/bench/report"
)

//go:embed volumes.yaml
var volumesManifest string

const (
	// volumeAtMost is the time relative to that of kubectl cp.
	volumeAtMost = 0.33
	copyLimit    = 3 * time.Minute
	sftpPort     = "9006"
	volumesKey   = "volumes."
)

// volume is a pod's volume that is brought to the laptop.
type volume struct {
	name, title string
	count       int
	size        int64
}

// volumes returns those that are measured. A copy by --mount=copy has at most 1 GiB.
func volumes() []volume {
	return []volume{
		{"small", "10,000 files of 4 KiB", 10_000, 4 << 10},
		{"large", "a file of 1000 MiB", 1, 1000 << 20},
	}
}

// volumeFigures are the lines of the table of volumes.
func volumeFigures() []report.Figure {
	var list []report.Figure
	for _, v := range volumes() {
		for _, how := range []struct{ key, title string }{{"", "mounted, cp -r"}, {".copy", "--mount=copy"}} {
			list = append(list, report.Figure{Key: volumesKey + v.name + how.key, Title: v.title + ", " + how.title, Unit: report.Seconds,
				Column: report.Volume, Bar: report.Bar{Kind: report.RatioAtMost, Limit: volumeAtMost, Against: report.KubectlCp}})
		}
	}
	return list
}

// volumes copies a pod's files to the laptop: by kubectl cp, from a mount of sshfs by
// kubectl port-forward and without SSH, from our mount, and by --mount=copy. The command
// that mounts is not in the figure of a mount. The command that copies is, as with kubectl cp.
func (b *bench) volumes(ctx context.Context) error {
	defer b.hangUp(ctx)
	if err := b.drop(ctx); err != nil {
		return err
	}
	for _, v := range volumes() {
		if err := b.volume(ctx, v); err != nil {
			return fmt.Errorf("%s: %w", v.title, err)
		}
	}
	return nil
}

func (b *bench) volume(ctx context.Context, v volume) error {
	file := filepath.Join(b.lab.tmp, v.name+".yaml")
	text := strings.NewReplacer("NAME", v.name, "COUNT", strconv.Itoa(v.count), "SIZE", strconv.FormatInt(v.size, 10)).Replace(volumesManifest)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	if _, err := b.lab.kubectl(ctx, "apply", "-f", file); err != nil {
		return err
	}
	defer b.lab.kubectl(context.WithoutCancel(ctx), "delete", "-f", file, "--cascade=foreground")
	if _, err := b.lab.podAddress(ctx, v.name); err != nil {
		return err
	}
	pod, err := b.lab.kubectl(ctx, "get", "pods", "--selector=app="+v.name, "--output=jsonpath={.items[0].metadata.name}")
	if err != nil {
		return err
	}
	forward, err := start(ctx, b.lab.laptop(b.lab.program("kubectl"), "port-forward", "deployment/"+v.name, sftpPort+":"+targetPort), b.lab.env, "Forwarding from 127.0.0.1")
	if err != nil {
		return err
	}
	defer forward.stop()
	key := volumesKey + v.name
	for range b.rounds {
		if err := b.timed(ctx, []string{key, key + ".copy"}, report.KubectlCp, b.lab.program("kubectl"), "cp", "--retries=0", pod+":volume", "TO"); err != nil {
			return err
		}
		if err := b.bySSHFS(ctx, []string{key, key + ".copy"}); err != nil {
			return err
		}
		if err := b.byMount(ctx, v, key); err != nil {
			return err
		}
		err := b.timed(ctx, []string{key + ".copy"}, report.Volume, b.lab.program("kubectl-intercept"), "add", "deployment/"+v.name, "--mode=ingest", "--transport=service-proxy", "--mount=copy")
		if err = errors.Join(err, b.lab.leave(ctx, v.name, "")); err != nil {
			return err
		}
	}
	return nil
}

// timed runs a command on the laptop that copies into a folder, which it names TO, and notes
// how long it takes. The files are on the disk's cache in all cases.
func (b *bench) timed(ctx context.Context, keys []string, column string, argv ...string) error {
	to := filepath.Join(b.lab.tmp, "copied")
	if err := os.Mkdir(to, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(to)
	for i := range argv {
		argv[i] = strings.ReplaceAll(argv[i], "TO", filepath.Join(to, "volume"))
	}
	began := time.Now()
	_, err := output(ctx, copyLimit, b.lab.laptop(argv...), b.lab.env)
	took := time.Since(began).Seconds()
	for _, key := range keys {
		if err == nil {
			b.report.Add(key, column, took)
		} else if err := b.failed(ctx, key, column, err); err != nil {
			return err
		}
	}
	return nil
}

// bySSHFS measures what lies in a mount of sshfs.
func (b *bench) bySSHFS(ctx context.Context, keys []string) error {
	at := filepath.Join(b.lab.tmp, "sshfs")
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	root := filepath.Join(b.bin, "sshfs")
	var libraries []string
	for _, pattern := range []string{"lib/*-linux-gnu", "usr/lib/*-linux-gnu"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return err
		}
		libraries = append(libraries, found...)
	}
	env := append(b.lab.env[:len(b.lab.env):len(b.lab.env)], "LD_LIBRARY_PATH="+strings.Join(libraries, ":"))
	if _, err := output(ctx, shortCommand, b.lab.laptop(filepath.Join(root, "usr/bin/sshfs"), "-o", "directport="+sftpPort, "127.0.0.1:/volume", at), env); err != nil {
		for _, key := range keys {
			if err := b.failed(ctx, key, report.SSHFS, err); err != nil {
				return err
			}
		}
		return nil
	}
	defer output(context.WithoutCancel(ctx), shortCommand, b.lab.laptop("umount", at), b.lab.env)
	return b.timed(ctx, keys, report.SSHFS, "cp", "-r", at, "TO")
}

// byMount measures what lies in our mount.
func (b *bench) byMount(ctx context.Context, v volume, key string) error {
	at := filepath.Join(b.lab.tmp, "mounted")
	argv := b.lab.laptop(b.lab.program("kubectl-intercept"), "add", "deployment/"+v.name, "--mode=ingest", "--transport=service-proxy", "--mount="+at)
	if _, err := output(ctx, copyLimit, argv, b.lab.env); err != nil {
		return b.failed(ctx, key, report.Volume, err)
	}
	defer b.lab.leave(context.WithoutCancel(ctx), v.name, "")
	return b.timed(ctx, []string{key}, report.Volume, "cp", "-r", filepath.Join(at, "volume"), "TO")
}
