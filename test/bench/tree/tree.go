// Package tree is the volumes of a pod that the benchmark copies to the laptop: it fills
// them, and serves them to the programs with which ours is compared, tar for kubectl cp and
// SFTP for sshfs.
package tree

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/pkg/sftp"
)

// folderSize is how many files share a folder.
const folderSize = 100

// Fill writes count files of size bytes below a folder. Their content cannot be compressed.
func Fill(dir string, count int, size int64) error {
	random := rand.NewChaCha8([32]byte{})
	for i := range count {
		folder := filepath.Join(dir, fmt.Sprint(i/folderSize))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		f, err := os.Create(filepath.Join(folder, fmt.Sprint(i)))
		if err != nil {
			return err
		}
		_, err = io.CopyN(f, random, size)
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// Tar is tar as kubectl cp calls it: "cf - PATH".
func Tar(args []string, out io.Writer) error {
	if len(args) != 3 || args[0] != "cf" || args[1] != "-" {
		return fmt.Errorf("tar %s: only cf - PATH is known", strings.Join(args, " "))
	}
	w := tar.NewWriter(out)
	err := filepath.WalkDir(args[2], func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		h, err := tar.FileInfoHeader(info, "")
		if err != nil {
			return err
		}
		if h.Name = strings.TrimPrefix(path, "/"); d.IsDir() {
			h.Name += "/"
		}
		if err := w.WriteHeader(h); err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(w, f)
		return err
	})
	return errors.Join(err, w.Close())
}

// ServeSFTP serves this machine's files by SFTP (draft-ietf-secsh-filexfer-02), without SSH
// around it, on each connection until ctx ends.
func ServeSFTP(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		go func() {
			defer c.Close()
			if s, err := sftp.NewServer(c, sftp.ReadOnly()); err == nil {
				_ = s.Serve() // the client has left
			}
		}()
	}
}
