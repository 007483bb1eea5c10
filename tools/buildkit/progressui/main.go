// Shows a recorded build as BuildKit's own display does, to compare ours with.
//
//	progressui plain < recording.jsonl
//	progressui tty 80 24 < recording.jsonl
//
// A recording is what `buildctl build --progress rawjson` prints. Each status is given time to be shown; what the
// display would write, escape codes included, goes to standard output.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/containerd/console"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/util/progress/progressui"
)

const perStatus = 4 * time.Millisecond

func main() {
	// The display shows at most one status in this many milliseconds.
	os.Setenv("TTY_DISPLAY_RATE", "1")
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 1 && args[0] == "plain" {
		return show(os.Stdout, progressui.PlainMode)
	}
	if len(args) != 3 || args[0] != "tty" {
		return fmt.Errorf("usage: progressui plain | progressui tty <width> <height>")
	}
	width, err := strconv.ParseUint(args[1], 10, 16)
	if err != nil {
		return err
	}
	height, err := strconv.ParseUint(args[2], 10, 16)
	if err != nil {
		return err
	}
	return showInTerminal(console.WinSize{Width: uint16(width), Height: uint16(height)})
}

func showInTerminal(size console.WinSize) error {
	pty, path, err := console.NewPty()
	if err != nil {
		return err
	}
	defer pty.Close()
	if err := pty.Resize(size); err != nil {
		return err
	}
	terminal, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	inner, err := console.ConsoleFromFile(terminal)
	if err != nil {
		return err
	}
	if err := inner.SetRaw(); err != nil {
		return err
	}
	copied := make(chan struct{})
	go func() {
		io.Copy(os.Stdout, pty) // ends with EIO when the other side is closed
		close(copied)
	}()
	err = show(terminal, progressui.TtyMode)
	terminal.Close()
	<-copied
	return err
}

func show(out io.Writer, mode progressui.DisplayMode) error {
	display, err := progressui.NewDisplay(out, mode)
	if err != nil {
		return err
	}
	statuses := make(chan *client.SolveStatus)
	failed := make(chan error, 1)
	go func() {
		failed <- feed(statuses)
		close(statuses)
	}()
	if _, err := display.UpdateFrom(context.Background(), statuses); err != nil {
		return err
	}
	return <-failed
}

func feed(statuses chan<- *client.SolveStatus) error {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var status client.SolveStatus
		if err := json.Unmarshal(lines.Bytes(), &status); err != nil {
			return err
		}
		statuses <- &status
		time.Sleep(perStatus)
	}
	return lines.Err()
}
