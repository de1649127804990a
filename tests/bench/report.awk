# SPDX-License-Identifier: LGPL-2.1-or-later
# Lines (kernel, configuration, boot, what, value, value before) to tables and goals; see report.
# `format` is text, json or markdown. Figures are medians over boots of the difference within one
# boot.

$4 == "release" { release[$1] = $5; kernels[++nk] = $1; next }
$1 == "native" {
	if (!($2 in native)) { native[$2] = 1; natives[++nn] = $2 }
	if ($4 == "refused") refused[$1, $2] = 1
	else add($1, $2, $4, $5 + 0)
	next
}
$2 == "upcalls" {
	upcalls[$1] = 1
	add($1, $2, $4, $5 + 0)
	next
}
{
	if (!(($1, $2) in known)) { known[$1, $2] = 1; config[$1, ++nc[$1]] = $2 }
	if ($4 == "refused") { refused[$1, $2] = 1; next }
	if ($4 == "hooks") { hooks[$1, $2] = $5; next }
	if (!($4 in known_op)) { known_op[$4] = 1; op[++no] = $4 }
	if ($5 == "-") { refused[$1, $2, $4] = 1; next }
	add($1, $2, $4, $5 - $6)
	add($1, "base", $4, $6 + 0)
}

function add(k, c, o, x) {
	x_of[k, c, o, ++count[k, c, o]] = x
}

function has(k, c, o) {
	return count[k, c, o] > 0
}

function median(k, c, o,    n, i, j, t, v) {
	n = count[k, c, o]
	for (i = 1; i <= n; i++)
		for (v[j = i] = x_of[k, c, o, i]; j > 1 && v[j] < v[j - 1]; j--) {
			t = v[j]; v[j] = v[j - 1]; v[j - 1] = t
		}
	return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
}

function lowest(k, c, o,    i, m) {
	m = x_of[k, c, o, 1]
	for (i = 2; i <= count[k, c, o]; i++) if (x_of[k, c, o, i] < m) m = x_of[k, c, o, i]
	return m
}

function highest(k, c, o,    i, m) {
	m = x_of[k, c, o, 1]
	for (i = 2; i <= count[k, c, o]; i++) if (x_of[k, c, o, i] > m) m = x_of[k, c, o, i]
	return m
}

function abs(x) {
	return x < 0 ? -x : x
}

# How far a configuration in which nothing was changed came out from zero.
function noise(k, o,    lo, hi) {
	if (!has(k, "nothing", o)) return 0
	lo = abs(lowest(k, "nothing", o))
	hi = abs(highest(k, "nothing", o))
	return hi > lo ? hi : lo
}

function sum(k, c, list,    n, i, part, s) {
	n = split(list, part, " ")
	for (i = 1; i <= n; i++) {
		if (!has(k, c, part[i])) return "none"
		s += median(k, c, part[i])
	}
	return s
}

# Two costs' ratio, where the second is more than noise.
function ratio(k, a, b, o,    den) {
	if (!has(k, a, o) || !has(k, b, o)) return "-"
	den = median(k, b, o)
	if (den < 20 || den < 2 * noise(k, o)) return "-"
	return sprintf("%.2f", median(k, a, o) / den)
}

# ------------------------------------------------------------------------ goals

function goal(k, what, value, limit, pass) {
	ng++
	goal_k[ng] = k
	goal_what[ng] = what
	goal_value[ng] = value
	goal_limit[ng] = limit
	goal_pass[ng] = pass
}

# a's cost on `list` is at most `limit` times b's.
function goal_ratio(k, what, a, b, list, limit,    x, y) {
	x = sum(k, a, list)
	y = sum(k, b, list)
	if (x == "none" || y == "none" || y <= 0) return
	goal(k, what, sprintf("%.2f", x / y), "<= " limit, x / y <= limit)
}

# Less than noise, or than `least` instructions.
function goal_free(k, what, c, list, least,    n, i, part, x, worst, allowed) {
	n = split(list, part, " ")
	for (i = 1; i <= n; i++) {
		if (!has(k, c, part[i])) return
		x = abs(median(k, c, part[i]))
		if (x > worst) worst = x
		if (noise(k, part[i]) > allowed) allowed = noise(k, part[i])
	}
	if (allowed < least) allowed = least
	goal(k, what, sprintf("%.1f", worst), sprintf("<= %.1f", allowed), worst <= allowed)
}

# Both what the machine has to do and when the answer is there count: the worse.
function judge_upcall(k, who,    x, y) {
	x = median(k, "upcalls", who) / median(k, "upcalls", "plain")
	y = median(k, "upcalls", who "-until") / median(k, "upcalls", "plain-until")
	if (y > x) x = y
	goal(k, "an upcall answered by a queue, " upcall_who[who] ", at most 1.3 of the host's request-key", sprintf("%.2f", x), "<= 1.3", x <= 1.3)
}

function judge(    i, j, k, x, y, part) {
	for (i = 1; i <= nk; i++) {
		k = kernels[i]
		goal_ratio(k, "untagged adds at most 1.25 of what empty programs add (aim: 1.05), open and rename",
			   "untagged", "empty", "open2 open6 open20 rename", 1.25)
		for (j = split("tcp-connect unix-connect request_key add_key", part, " "); j; j--)
			goal_ratio(k, "the same, " part[j], "untagged", "empty", part[j], 1.25)
		goal_free(k, "reads and writes of open files cost nothing", "tagged-64", "pread read pwrite", 2)
		goal_free(k, "stat costs nothing", "tagged-64", "stat", 10)
		goal_ratio(k, "open+close at depth 6 adds at most 0.65 of AppArmor's", "tagged-64", "apparmor-64", "open6", 0.65)
		goal_ratio(k, "open+close at depth 6 adds no more than one Landlock layer", "tagged-64", "landlock", "open6", 1)
		goal_ratio(k, "create+unlink adds no more than AppArmor", "tagged-64", "apparmor-64", "create+unlink", 1)
		goal_ratio(k, "rename adds no more than AppArmor", "tagged-64", "apparmor-64", "rename", 1)
		if (refused[k, "tagged-20000"])
			goal(k, "20000 rules cost at most 1.05 of 64", "refused", "<= 1.05", 0)
		goal_ratio(k, "20000 rules cost at most 1.05 of 64", "tagged-20000", "tagged-64", "open6", 1.05)
		if (upcalls[k])
			for (j = split("watch library", part, " "); j; j--) judge_upcall(k, part[j])
		goal_ratio(k, "audit mode costs at most 1.3 of enforce mode when nothing is reported", "audit-64", "tagged-64",
			   "open6 create+unlink rename", 1.3)
	}
	for (i = 1; i <= nn; i++) {
		k = natives[i]
		if (refused["native", k]) {
			goal(k, "compiles", "refused", "compiled", 0)
			continue
		}
		x = median("native", k, "apparmor-ms")
		y = median("native", k, "warder-ms")
		goal(k, "at least 10 times as fast as apparmor_parser", sprintf("%.1f", x / y), ">= 10", x >= 10 * y)
		x = median("native", k, "image-bytes") / 1048576
		goal(k, "image below 4 MiB", sprintf("%.2f MiB", x), "< 4 MiB", x < 4)
	}
}

# ----------------------------------------------------------------------- output

BEGIN {
	upcall_who["plain"] = "request-key, the program"
	upcall_who["keyctl"] = "request-key, keyctl instantiate"
	upcall_who["behind"] = "the first, behind warder-request-key"
	upcall_who["watch"] = "keyring watch, the program"
	upcall_who["watch-host"] = "the same on the host"
	upcall_who["request-key"] = "keyring watch, its own request-key"
	upcall_who["library"] = "a daemon by the library"
	upcall_who["library-host"] = "the same on the host"
	nu = split("plain keyctl behind watch watch-host request-key library library-host", upcall, " ")
}

# Not beside the operations: not what is added, but all of it.
function upcall_table(    i, j, n, field, k, all, until) {
	n = 0
	head[++n] = "an upcall, answered by"
	for (i = 1; i <= nk; i++)
		if (upcalls[kernels[i]])
			for (j = 1; j <= 3; j++) head[++n] = kernels[i] (j == 1 ? "" : j == 2 ? ": until" : ": ratio")
	if (n == 1) return
	printf "\nKey upcalls: instructions of the whole machine for one, and until the answer is there; their ratios to the first line\n\n"
	print upcall_line(n, head)
	if (format == "markdown") {
		field[1] = "|---"
		for (i = 2; i <= n; i++) field[1] = field[1] "|--:"
		print field[1] "|"
	}
	for (i = 1; i <= nu; i++) {
		n = 0
		field[++n] = upcall_who[upcall[i]]
		for (j = 1; j <= nk; j++) {
			k = kernels[j]
			if (!upcalls[k]) continue
			all = median(k, "upcalls", upcall[i])
			until = median(k, "upcalls", upcall[i] "-until")
			field[++n] = sprintf("%.0f", all)
			field[++n] = sprintf("%.0f", until)
			field[++n] = sprintf("%.2f, %.2f", all / median(k, "upcalls", "plain"), \
				until / median(k, "upcalls", "plain-until"))
		}
		print upcall_line(n, field)
	}
}

function upcall_line(n, field,    i, s) {
	if (format == "markdown") return line(n, field)
	for (i = 1; i <= n; i++) s = s sprintf(i == 1 ? "%-37s" : " %13s", field[i])
	return s
}

function cell(k, c, o) {
	if (refused[k, c] || refused[k, c, o]) return "refused"
	if (!has(k, c, o)) return "-"
	return sprintf("%+.0f", median(k, c, o))
}

# How a row or a heading is put together in this format.
function line(n, field,    i, s) {
	if (format == "markdown") {
		for (i = 1; i <= n; i++) s = s "| " field[i] " "
		return s "|"
	}
	for (i = 1; i <= n; i++) {
		if (i == 1) s = sprintf("%-14s", field[i])
		else s = s sprintf(" %" (length(head[i]) > 8 ? length(head[i]) : 8) "s", field[i])
	}
	return s
}

function table(k,    i, j, n, field, s) {
	n = 0
	head[++n] = "operation"
	head[++n] = "nothing"
	head[++n] = "noise"
	for (j = 1; j <= nc[k]; j++) if (config[k, j] != "nothing") head[++n] = config[k, j]
	head[++n] = "untag/empty"
	head[++n] = "tag/AppArmor"
	print line(n, head)
	if (format == "markdown") {
		s = "|---"
		for (i = 2; i <= n; i++) s = s "|--:"
		print s "|"
	}
	for (i = 1; i <= no; i++) {
		n = 0
		field[++n] = op[i]
		field[++n] = sprintf("%.0f", median(k, "base", op[i]))
		field[++n] = has(k, "nothing", op[i]) ? sprintf("%.0f", noise(k, op[i])) : "-"
		for (j = 1; j <= nc[k]; j++)
			if (config[k, j] != "nothing") field[++n] = cell(k, config[k, j], op[i])
		field[++n] = ratio(k, "untagged", "empty", op[i])
		field[++n] = ratio(k, "tagged-64", "apparmor-64", op[i])
		print line(n, field)
	}
}

function programs(k,    j) {
	for (j = 1; j <= nc[k]; j++) if (hooks[k, config[k, j]]) return hooks[k, config[k, j]]
	return 0
}

function boots(k,    j, n) {
	for (j = 1; j <= nc[k]; j++)
		if (count[k, config[k, j], op[1]] > n) n = count[k, config[k, j], op[1]]
	return n
}

function print_text(    i, k, bold, form) {
	bold = format == "markdown" ? "**" : ""
	for (i = 1; i <= nk; i++) {
		k = kernels[i]
		if (!nc[k]) continue
		printf "\n%sKernel %s%s: instructions of an operation with nothing attached, and what is added\n", bold, release[k], bold
		printf "(%d programs; median of %d boot%s)\n\n", programs(k), boots(k), (boots(k) == 1 ? "" : "s")
		table(k)
	}
	upcall_table()
	for (i = 1; i <= nn; i++) {
		k = natives[i]
		if (refused["native", k]) continue
		printf "\n%s, natively: warder policy compile %.0f ms, image %.2f MiB; apparmor_parser %.0f ms\n", k, \
			median("native", k, "warder-ms"), median("native", k, "image-bytes") / 1048576, \
			median("native", k, "apparmor-ms")
	}
	print ""
	if (format == "markdown") print "| | on | goal | value | limit |\n|---|---|---|--:|--:|"
	form = format == "markdown" ? "| %s | %s | %s | %s | %s |\n" : "goal: %s %s: %s: %s (%s)\n"
	for (i = 1; i <= ng; i++)
		printf form, goal_pass[i] ? "PASS" : "FAIL", goal_k[i], goal_what[i], goal_value[i], goal_limit[i]
}

function print_json(    i, j, o, k, c, first, first_upcall) {
	print "{\n  \"unit\": \"instructions\",\n  \"kernels\": {"
	for (i = 1; i <= nk; i++) {
		k = kernels[i]
		printf "    \"%s\": {\n      \"release\": \"%s\",\n      \"programs\": %d,\n      \"nothing\": {", k, release[k], programs(k)
		for (o = 1; o <= no; o++)
			printf "%s\n        \"%s\": {\"median\": %.1f, \"noise\": %.1f}", (o > 1 ? "," : ""), op[o], \
				median(k, "base", op[o]), noise(k, op[o])
		printf "\n      },\n      \"added\": {"
		first = 1
		for (j = 1; j <= nc[k]; j++) {
			c = config[k, j]
			if (c == "nothing") continue
			printf "%s\n        \"%s\": ", first ? "" : ",", c
			first = 0
			if (refused[k, c]) { printf "null"; continue }
			print_json_ops(k, c)
		}
		printf "\n      }\n    }%s\n", (i < nk ? "," : "")
	}
	print "  },\n  \"upcalls\": {"
	for (i = 1; i <= nk; i++) {
		k = kernels[i]
		if (!upcalls[k]) continue
		printf "%s    \"%s\": {", first_upcall++ ? ",\n" : "", k
		for (j = 1; j <= nu; j++)
			printf "%s\"%s\": {\"instructions\": %.0f, \"until_answer\": %.0f}", (j > 1 ? ", " : ""), \
				upcall[j], median(k, "upcalls", upcall[j]), median(k, "upcalls", upcall[j] "-until")
		printf "}"
	}
	print "\n  },\n  \"compile\": {"
	for (i = 1; i <= nn; i++) {
		k = natives[i]
		if (refused["native", k]) printf "    \"%s\": null", k
		else printf "    \"%s\": {\"warder_ms\": %.1f, \"apparmor_ms\": %.1f, \"image_bytes\": %d}", k, \
			median("native", k, "warder-ms"), median("native", k, "apparmor-ms"), \
			median("native", k, "image-bytes")
		print (i < nn ? "," : "")
	}
	print "  },\n  \"goals\": ["
	for (i = 1; i <= ng; i++)
		printf "    {\"on\": \"%s\", \"goal\": \"%s\", \"value\": \"%s\", \"limit\": \"%s\", \"pass\": %s}%s\n", \
			goal_k[i], goal_what[i], goal_value[i], goal_limit[i], goal_pass[i] ? "true" : "false", \
			(i < ng ? "," : "")
	print "  ]\n}"
}

function print_json_ops(k, c,    o, first) {
	printf "{"
	first = 1
	for (o = 1; o <= no; o++) {
		printf "%s\n          \"%s\": ", first ? "" : ",", op[o]
		first = 0
		if (has(k, c, op[o]))
			printf "{\"median\": %.1f, \"min\": %.1f, \"max\": %.1f}", median(k, c, op[o]), \
				lowest(k, c, op[o]), highest(k, c, op[o])
		else
			printf "null"
	}
	printf "\n        }"
}

END {
	judge()
	if (format == "json") print_json()
	else print_text()
}
