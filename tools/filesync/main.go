// What do BuildKit's own libraries say? A reference for fuzzing Kiln's file sync: reads cases as JSON lines, prints
// a verdict as a JSON line for each. In all strings a character stands for one byte (U+0000 to U+00FF).
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
	"github.com/tonistiigi/fsutil/types"
)

// Case is one question.
type Case struct {
	// Op is "match", "glob", "ignore", "walk" or "packet".
	Op       string
	Patterns []text
	Paths    []text
	// Bytes of an ignore file, or of a packet.
	Bytes   text
	Tree    []Node
	Include []text
	Exclude []text
	Follow  []text
}

// text is a byte string in JSON.
type text string

func (t *text) UnmarshalJSON(data []byte) error {
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	b := make([]byte, 0, len(s))
	for _, r := range s {
		b = append(b, byte(r))
	}
	*t = text(b)
	return nil
}

func (t text) MarshalJSON() ([]byte, error) {
	r := make([]rune, len(t))
	for i := range len(t) {
		r[i] = rune(t[i])
	}
	return json.Marshal(string(r))
}

func plain(ts []text) []string {
	if ts == nil {
		return nil
	}
	out := make([]string, len(ts))
	for i, t := range ts {
		out[i] = string(t)
	}
	return out
}

func texts(ss []string) []text {
	out := make([]text, len(ss))
	for i, s := range ss {
		out[i] = text(s)
	}
	return out
}

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriterSize(os.Stdout, 1<<16)
	defer out.Flush()
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	for {
		line, err := in.ReadBytes('\n')
		if err == io.EOF {
			return
		}
		var c Case
		if err == nil {
			err = json.Unmarshal(line, &c)
		}
		if err == nil {
			err = enc.Encode(verdict(&c))
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		// Whole lines are read, so that a question that waits in the buffer is one that will be answered.
		if in.Buffered() == 0 {
			out.Flush()
		}
	}
}

func verdict(c *Case) any {
	switch c.Op {
	case "match":
		return match(c)
	case "glob":
		return glob(c)
	case "ignore":
		lines, err := ignorefile.ReadAll(bytes.NewReader([]byte(c.Bytes)))
		if err != nil {
			return "refused"
		}
		return texts(lines)
	case "walk":
		return walk(c)
	case "packet":
		return packet(c)
	}
	return "unknown op"
}

// One word per path: the verdict of MatchesOrParentMatches, then those of a walk from the root down.
func match(c *Case) any {
	pm, err := patternmatcher.New(plain(c.Patterns))
	if err != nil {
		return "refused"
	}
	words := make([]string, len(c.Paths))
	for i, p := range plain(c.Paths) {
		m, err := pm.MatchesOrParentMatches(p)
		words[i] = letter(m, err) + ":" + descend(pm, p)
	}
	return words
}

func letter(m bool, err error) string {
	switch {
	case err != nil:
		return "e"
	case m:
		return "1"
	}
	return "0"
}

func descend(pm *patternmatcher.PatternMatcher, p string) string {
	var word string
	var info patternmatcher.MatchInfo
	parts := strings.Split(p, "/")
	for i := range parts {
		m, next, err := pm.MatchesUsingParentResults(strings.Join(parts[:i+1], "/"), info)
		word += letter(m, err)
		if err != nil {
			break
		}
		info = next
	}
	return word
}

func glob(c *Case) any {
	words := make([]string, len(c.Paths))
	for i, p := range plain(c.Paths) {
		m, err := filepath.Match(string(c.Patterns[0]), p)
		words[i] = letter(m, err)
	}
	return words
}

type stat struct {
	Path, Linkname            text
	Mode, Uid, Gid            uint32
	Size, Mtime, Major, Minor string
	Xattrs                    [][2]text
}

func packet(c *Case) any {
	var p types.Packet
	if err := p.Unmarshal([]byte(c.Bytes)); err != nil {
		return "refused"
	}
	out := map[string]any{"type": int32(p.Type), "id": p.ID, "data": text(p.Data)}
	if s := p.Stat; s != nil {
		xattrs := [][2]text{}
		for k, v := range s.Xattrs {
			xattrs = append(xattrs, [2]text{text(k), text(v)})
		}
		sort.Slice(xattrs, func(i, j int) bool { return xattrs[i][0] < xattrs[j][0] })
		out["stat"] = stat{
			Path: text(s.Path), Linkname: text(s.Linkname), Mode: s.Mode, Uid: s.Uid, Gid: s.Gid,
			Size: fmt.Sprint(s.Size), Mtime: fmt.Sprint(s.ModTime), Major: fmt.Sprint(s.Devmajor), Minor: fmt.Sprint(s.Devminor),
			Xattrs: xattrs,
		}
	}
	return out
}
