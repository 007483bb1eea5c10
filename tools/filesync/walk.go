package main

// Walks a tree in memory through the same filters as a BuildKit client does.

import (
	"context"
	"errors"
	"io"
	gofs "io/fs"
	"os"
	"path"
	"sort"
	"strings"
	"syscall"

	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"
)

// Node is an entry of a tree in memory.
type Node struct {
	Path text
	// Kind is "dir", "file", "link" (a symlink to Target), or "hard" (another name of the file Target).
	Kind   string
	Target text
}

// What a daemon would be told of the tree: "path", "path -> target", "path => first name", "path/" for directories.
func walk(c *Case) any {
	var tree fsutil.FS = newMemory(c.Tree)
	tree, err := fsutil.NewFilterFS(tree, &fsutil.FilterOpt{Map: func(string, *types.Stat) fsutil.MapResult {
		return fsutil.MapResultKeep
	}})
	if err != nil {
		return "refused"
	}
	tree, err = fsutil.NewFilterFS(tree, &fsutil.FilterOpt{
		IncludePatterns: plain(c.Include), ExcludePatterns: plain(c.Exclude), FollowPaths: plain(c.Follow),
	})
	if err != nil {
		return "refused"
	}
	found := []text{}
	err = fsutil.WithHardlinkReset(tree).Walk(context.TODO(), "/", func(p string, e gofs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := e.Info()
		if err != nil {
			return err
		}
		s := fi.Sys().(*types.Stat)
		switch {
		case fi.IsDir():
			p += "/"
		case fi.Mode()&os.ModeSymlink != 0:
			p += " -> " + s.Linkname
		case s.Linkname != "":
			p += " => " + s.Linkname
		}
		found = append(found, text(p))
		return nil
	})
	if err != nil {
		return "failed"
	}
	return found
}

type memory struct {
	stats    map[string]*types.Stat
	children map[string][]string
}

func newMemory(nodes []Node) *memory {
	m := &memory{stats: map[string]*types.Stat{}, children: map[string][]string{}}
	m.stats["."] = &types.Stat{Path: ".", Mode: uint32(os.ModeDir | 0755)}
	for _, n := range nodes {
		p := string(n.Path)
		s := &types.Stat{Path: p, Mode: 0644}
		switch n.Kind {
		case "dir":
			s.Mode = uint32(os.ModeDir | 0755)
		case "link":
			s.Mode = uint32(os.ModeSymlink | 0777)
			s.Linkname = string(n.Target)
		case "hard":
			s.Linkname = string(n.Target)
		}
		m.stats[p] = s
		m.children[path.Dir(p)] = append(m.children[path.Dir(p)], p)
	}
	for _, c := range m.children {
		sort.Slice(c, func(i, j int) bool { return path.Base(c[i]) < path.Base(c[j]) })
	}
	return m
}

// As fsutil's own disk FS: WalkDir, without the root, a missing entry is not an error.
func (m *memory) Walk(ctx context.Context, target string, fn gofs.WalkDirFunc) error {
	root := path.Clean(strings.TrimLeft(target, "/"))
	err := m.visit(root, fn)
	if errors.Is(err, gofs.SkipDir) || errors.Is(err, gofs.SkipAll) {
		return nil
	}
	return err
}

func (m *memory) visit(p string, fn gofs.WalkDirFunc) error {
	s, ok := m.stats[p]
	if !ok {
		return skipMissing(fn(p, nil, &os.PathError{Op: "lstat", Path: p, Err: os.ErrNotExist}))
	}
	if p != "." {
		err := skipMissing(fn(p, &fsutil.DirEntryInfo{Stat: s.Clone()}, nil))
		if err != nil {
			if errors.Is(err, gofs.SkipDir) && s.IsDir() {
				return nil
			}
			return err
		}
	}
	for _, c := range m.children[p] {
		if err := m.visit(c, fn); err != nil {
			if errors.Is(err, gofs.SkipDir) {
				break
			}
			return err
		}
	}
	return nil
}

func skipMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return gofs.SkipDir
	}
	return err
}

func (m *memory) Open(string) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader("")), nil
}
