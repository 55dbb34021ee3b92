#!/usr/bin/env bash
# kill_and_resume.sh GRAFT: a run killed with SIGKILL at 20 random moments and resumed each time ends byte-equal to one that
# was never interrupted; and a run stopped by SIGINT exits 75 and goes on.
source "$(dirname "$0")/flow.sh"
recipe=$TESTS/flows/tiny.yaml
kills=20

expect_exit 0 "$GRAFT" train "$recipe" output_dir="$WORK/whole"

RANDOM=4711
done_kills=0
lives=0
while [ $done_kills -lt $kills ]; do
  run=$WORK/killed
  "$GRAFT" train "$recipe" output_dir="$run" --resume > "$WORK/out" 2> "$WORK/err" &
  pid=$!
  sleep "0.$(printf %03d $((RANDOM % 700)))"
  if kill -KILL $pid 2>/dev/null; then
    wait $pid 2>/dev/null || true
    done_kills=$((done_kills + 1))
  else
    wait $pid || { cat "$WORK/err" >&2; fail "a resumed run ended by itself with an error"; }
    same_run "$WORK/whole" "$run"
    rm -rf "$run"
    lives=$((lives + 1))
  fi
done
expect_exit 0 "$GRAFT" train "$recipe" output_dir="$WORK/killed" --resume
same_run "$WORK/whole" "$WORK/killed"

# A finished run: nothing to do, nothing changed.
before=$(cat "$WORK/killed/run.json" | sha256sum)
expect_exit 0 "$GRAFT" train "$recipe" output_dir="$WORK/killed" --resume
[ "$before" = "$(sha256sum < "$WORK/killed/run.json")" ] || fail "--resume changed a finished run"

# Ctrl-C (a shell starts background jobs with SIGINT ignored, so it is set back): saved, exit 75, and the resumption ends like the whole run.
# It began on another day, which templates that write a date go on to see.
env --default-signal=INT "$GRAFT" train "$recipe" output_dir="$WORK/stopped" data.template_date=2020-02-29 > "$WORK/out" 2> "$WORK/err" &
pid=$!
until grep -q '"step":5,' "$WORK/stopped/metrics.jsonl" 2>/dev/null; do sleep 0.02; done
kill -INT $pid
code=0
wait $pid || code=$?
[ $code = 75 ] || { cat "$WORK/err" >&2; fail "exit $code after SIGINT, want 75"; }
expect_exit 0 "$GRAFT" train "$recipe" output_dir="$WORK/stopped" --resume
same_run "$WORK/whole" "$WORK/stopped"
grep -q 'template_date: "2020-02-29"' "$WORK/stopped/recipe.resolved.yaml" || fail "a resumed run took another date"
echo "killed $done_kills times, finished $((lives + 1)) runs, all equal"
