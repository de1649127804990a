# SPDX-License-Identifier: LGPL-2.1-or-later
# Rows (kernel, configuration, boot, what, value) to a table of added instructions.
{
	if (!(($1) in seen)) { seen[$1] = 1; kernels[++nk] = $1 }
	if (!(($1, $2) in seen)) { seen[$1, $2] = 1; config[$1, ++nc[$1]] = $2 }
	if ($4 == "refused") { refused[$1, $2] = 1; next }
	if ($4 == "hooks") { hooks[$1, $2] = $5; next }
	if (!(($4) in opseen)) { opseen[$4] = 1; op[++no] = $4 }
	if ($5 == "-") { refused[$1, $2, $4] = 1; next }
	value[$1, $2, $4, ++count[$1, $2, $4]] = $5 + 0
}

function median(k, c, o,    n, i, j, t, v) {
	n = count[k, c, o]
	for (i = 1; i <= n; i++) v[i] = value[k, c, o, i]
	for (i = 2; i <= n; i++)
		for (j = i; j > 1 && v[j] < v[j - 1]; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
	return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
}

END {
	for (i = 1; i <= nk; i++) {
		k = kernels[i]
		printf "\nkernel %s: instructions (nothing), and instructions added to that\n%-14s", k, "operation"
		for (j = 1; j <= nc[k]; j++) printf " %12s", config[k, j]
		print ""
		for (o = 1; o <= no; o++) {
			printf "%-14s", op[o]
			base = count[k, "nothing", op[o]] ? median(k, "nothing", op[o]) : 0
			for (j = 1; j <= nc[k]; j++) {
				c = config[k, j]
				if (refused[k, c] || refused[k, c, op[o]]) printf " %12s", "refused"
				else if (!count[k, c, op[o]]) printf " %12s", "-"
				else if (c == "nothing") printf " %12.0f", base
				else printf " %+12.0f", median(k, c, op[o]) - base
			}
			print ""
		}
	}
}
