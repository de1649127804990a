// SPDX-License-Identifier: LGPL-2.1-or-later
/* Compiled images: what is verified before one is taken, and what names it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "cleanup.h"
#include "policy_fixture.h"

static const char image_text[] =
	P "defaults: {file: deny}\nfile:\n - {allow: read, path: /a/**, id: x}\n"
	" - {deny: write, path: /b}\n - {allow: read, path: /c, audit: true}\n"
	"capability: [{deny: kill}]\n"
	"mount: [{allow: mount, type: tmpfs, target: /m}]\n"
	"memory: {write_exec: deny}\n"
	"network: [{allow: connect, protocol: tcp, to: '10.0.0.0/8:80'}]\n"
	"device: [{allow: open, node: 'c 1:3'}]\n"
	"ptrace: [{deny: trace}]\n"
	"profiles: {a: {device: [{allow: open, node: 'c 1:5'}]}, b: {}}\n"
	"override: [{on: mount, type: tmpfs, target: /o, do: perform, options: {size: '<=1M'}},\n"
	"           {on: mount, bind: /x, do: perform}]\n"
	"keyring: {upcalls: [{type: '*', to: deny}, {type: key, to: host}]}\n";

static void test_bit_flips(void **state)
{
	struct warder_image *img = good(image_text);
	struct warder_error e;

	(void)state;
	/* Every single bit. */
	for (__u32 i = 0; i < img->h.length * 8; i++) {
		img->b[i / 8] ^= (__u8)(1u << (i % 8));
		if (!image_verify(img, img->h.length, &e))
			fail_msg("accepted with bit %u of byte %u changed", i % 8, i / 8);
		img->b[i / 8] ^= (__u8)(1u << (i % 8));
	}
	/* Cut, and with bytes after its end. */
	assert_int_equal(image_verify(img, img->h.length - 1, &e), -EINVAL);
	assert_int_equal(image_verify(img, 10, &e), -EINVAL);
	img->b[WARDER_IMAGE_SIZE - 1] = 1;
	assert_int_equal(image_verify(img, sizeof(*img), &e), -EINVAL);
	img->b[WARDER_IMAGE_SIZE - 1] = 0;
	assert_int_equal(image_verify(img, sizeof(*img), &e), 0);
	free(img);
}

/* Malformed with a right checksum. */
static void test_malformed(void **state)
{
#define AT(section, type, index) ((type *)(img->b + img->h.section.offset) + (index))
#define BAD(change)                                                                           \
	do {                                                                                  \
		struct warder_image *img = good(image_text);                                  \
		struct warder_error e;                                                        \
		change;                                                                       \
		img->h.checksum = image_checksum(img);                                        \
		if (!image_verify(img, sizeof(*img), &e))                                     \
			fail_msg("accepted: %s", #change);                                    \
		free(img);                                                                    \
	} while (0)

	(void)state;
	BAD(img->h.version++);
	BAD(img->h.header_size--);
	BAD(img->h.mode = 3);
	BAD(img->h.name = 0);
	BAD(img->h.name = img->h.length);
	BAD(img->h.name += 1);
	BAD(img->h.states = 0);
	BAD(img->h.classes = 0);
	BAD(img->h.classes = 257);
	BAD(AT(profile, struct warder_profile, 0)->start[0] = img->h.states);
	BAD(img->h.node.offset += 8);
	BAD(img->h.node.count = 0xffffffff);
	BAD(img->h.edge.count = 0xffffffff);
	BAD(img->h.accept.count = 0);
	BAD(img->h.strings.count = 0x7fffffff);
	BAD(*AT(class_of, __u8, 'a') = 255);
	BAD(AT(accept, struct warder_accept, 0)->allow = 1);
	BAD(AT(accept, struct warder_accept, 1)->allow ^= WARDER_ACC_MKNOD);
	BAD(AT(accept, struct warder_accept, 1)->rules += 4);
	BAD(AT(accept, struct warder_accept, 1)->rules = 8);
	BAD(AT(accept, struct warder_accept, 1)->count = 1000);
	BAD(AT(accept, struct warder_accept, 1)->set = 1ull << 63);
	BAD(AT(accept_rule, struct warder_accept_rule, 0)->rule = 0);
	BAD(AT(accept_rule, struct warder_accept_rule, 0)->rule = 999);
	BAD(AT(accept_rule, struct warder_accept_rule, 0)->mask = 1u << 31);
	BAD(AT(accept_rule, struct warder_accept_rule, 0)->deny ^= 1);
	BAD(AT(rule, struct warder_rule, 0)->file = 8);
	BAD(AT(rule, struct warder_rule, 0)->id = 0xffffffff);
	BAD(AT(rule, struct warder_rule, 0)->class_ = 200);
	BAD(AT(rule, struct warder_rule, 1)->err = 0);
	BAD(AT(mount, struct warder_mount_rule, 0)->ops = 0);
	BAD(AT(mount, struct warder_mount_rule, 0)->rule = 999);
	BAD(AT(mount, struct warder_mount_rule, 0)->pad[3] = 1);
	BAD(memset(AT(mount, struct warder_mount_rule, 0)->type, 'x', WARDER_FSTYPE_SIZE));
	BAD(AT(override_, struct warder_override, 0)->op = WARDER_OP__MAX);
	BAD(AT(override_, struct warder_override, 0)->op = WARDER_OP_SETNS);
	BAD(AT(override_, struct warder_override, 0)->cause |= WARDER_CAUSE_BASELINE);
	BAD(AT(override_, struct warder_override, 0)->do_ = 7);
	BAD(AT(override_, struct warder_override, 0)->options = 9);
	BAD(AT(override_, struct warder_override, 0)->rule = 0);
	BAD(AT(override_, struct warder_override, 0)->option[0].compare = 9);
	BAD(AT(override_, struct warder_override, 0)->option[0].name[0] = 0);
	BAD(AT(override_, struct warder_override, 0)->option[5].bound = 1);
	BAD(AT(override_, struct warder_override, 1)->bind = 0xffff0000);
	BAD(AT(override_, struct warder_override, 1)->bind += 1);
	BAD(*AT(strings, char, 0) = 'x');
	BAD(*AT(strings, char, img->h.strings.count - 1) = 'x');
	BAD(AT(profile, struct warder_profile, 0)->file_default = 0xffffffff);
	BAD(AT(profile, struct warder_profile, 0)->file_trivial = 1);
	BAD(AT(profile, struct warder_profile, 0)->file_err = 0);
	BAD(AT(profile, struct warder_profile, 0)->mount_default = 0xffffffff);
	BAD(AT(profile, struct warder_profile, 0)->bits[0].rule[5] = 0xffff);
	BAD(AT(profile, struct warder_profile, 0)->bits[0].rule[5] = 1);
	BAD(AT(profile, struct warder_profile, 0)->bits[0].allow ^= 1ull << 5);
	BAD(AT(rule, struct warder_rule, 0)->in = 3);
	BAD(AT(rule, struct warder_rule, 0)->profile = 1);
	BAD(AT(rule, struct warder_rule, 0)->class_ = WARDER_CLASS_IDENTITY);
	BAD(AT(net, struct warder_net_rule, 0)->ops = 0);
	BAD(AT(net, struct warder_net_rule, 0)->ops = 1u << WARDER_NET_BITS);
	BAD(AT(net, struct warder_net_rule, 0)->families = 0);
	BAD(AT(net, struct warder_net_rule, 0)->families |= WARDER_FAM_PACKET);
	BAD(AT(net, struct warder_net_rule, 0)->protocols = 1u << WARDER_PROTO_BITS);
	BAD(AT(net, struct warder_net_rule, 0)->prefix = 129);
	BAD(AT(net, struct warder_net_rule, 0)->prefix = 100);
	BAD(AT(net, struct warder_net_rule, 0)->port_first = 81);
	BAD(AT(net, struct warder_net_rule, 0)->rule = 0);
	BAD(AT(net, struct warder_net_rule, 0)->rule = 1);
	BAD(AT(net, struct warder_net_rule, 0)->deny = 1);
	BAD(AT(net, struct warder_net_rule, 0)->pad[1] = 1);
	BAD(AT(device, struct warder_device_rule, 0)->ops = 4);
	BAD(AT(device, struct warder_device_rule, 0)->type = 1);
	BAD(AT(device, struct warder_device_rule, 0)->major = 1u << 12);
	BAD(AT(device, struct warder_device_rule, 0)->minor = 1u << 20);
	BAD(AT(device, struct warder_device_rule, 0)->rule = 999);
	BAD(AT(device, struct warder_device_rule, 0)->err = 1);
	BAD(AT(peer, struct warder_peer_rule, 0)->ops = 4);
	BAD(AT(peer, struct warder_peer_rule, 0)->class_ = WARDER_CLASS_FILE);
	BAD(AT(peer, struct warder_peer_rule, 0)->class_ = WARDER_CLASS_SIGNAL);
	BAD(AT(peer, struct warder_peer_rule, 0)->peer = WARDER_PEER__MAX);
	BAD(AT(peer, struct warder_peer_rule, 0)->peer = WARDER_PEER_NAME);
	BAD(AT(peer, struct warder_peer_rule, 0)->name[0] = 'x');
	BAD(AT(peer, struct warder_peer_rule, 0)->name[5] = 'x');
	BAD(AT(profile, struct warder_profile, 0)->id = 1);
	BAD(AT(profile, struct warder_profile, 0)->name = 1);
	BAD(AT(profile, struct warder_profile, 1)->id = 0);
	BAD(AT(profile, struct warder_profile, 1)->name = 0);
	BAD(AT(profile, struct warder_profile, 2)->id = AT(profile, struct warder_profile, 1)->id);
	BAD(AT(profile, struct warder_profile, 1)->start[1] = 0xffffff);
	BAD(AT(profile, struct warder_profile, 0)->mount_rules |= 1ull << 63);
	BAD(AT(profile, struct warder_profile, 0)->net_rules[3] = 1);
	BAD(AT(profile, struct warder_profile, 0)->device_rules |= 2); /* stands in a profile */
	BAD(AT(profile, struct warder_profile, 2)->device_rules |= 2);
	BAD(AT(profile, struct warder_profile, 0)->peer_rules |= 4);
	BAD(AT(profile, struct warder_profile, 0)->net_default = 1u << WARDER_FAM_BITS);
	BAD(AT(profile, struct warder_profile, 0)->device_default = 4);
	BAD(AT(profile, struct warder_profile, 0)->peer_default |= 1);
	BAD(AT(profile, struct warder_profile, 0)->peer_err[2] = 200);
	BAD(AT(profile, struct warder_profile, 0)->bits[1].rule[1] =
		    AT(profile, struct warder_profile, 0)->bits[0].rule[5]);
	BAD(img->h.unsafe = 1ull << WARDER_UNSAFE_BITS);
	BAD(AT(override_, struct warder_override, 0)->by_profile = 3);
	BAD(img->h.override_ops = 0);
	BAD(img->h.keys_max = WARDER_KEYS_MAX + 1);
	BAD(img->h.keys_bytes = WARDER_KEY_BYTES_MAX + 1);
	BAD(img->h.keys_pending = WARDER_KEY_PENDING_MAX + 1);
	BAD(img->h.layer[0].keys_join = WARDER_JOIN__MAX);
	BAD(img->h.upcall[0].rule = 0);
	BAD(img->h.upcall[0].rule = 1);
	BAD(img->h.upcall[0].rule = 0xffff);
	BAD(img->h.upcall[0].to = WARDER_UPCALL_DENY);
	BAD(img->h.upcall[0].to = WARDER_UPCALL__MAX);
	BAD(img->h.upcall[0].by = 0);
	BAD(img->h.upcall[0].by = 4);
	BAD(img->h.upcall[0].deadline = 1); /* no queue */
	BAD(img->h.upcall[0].otherwise = WARDER_UPCALL_HOST);
	BAD(img->h.upcall[0].to = WARDER_UPCALL_QUEUE; img->h.upcall[0].deadline = 60001);
	BAD(img->h.upcall[0].to = WARDER_UPCALL_QUEUE; img->h.upcall[0].otherwise = WARDER_UPCALL_QUEUE);
	BAD(img->h.upcall[0].pad = 1);
	BAD(img->h.upcall[0].type[5] = 'x');
	BAD(memset(img->h.upcall[0].type, 0, 16); img->h.upcall[1].type[0] = 'x');
	BAD(img->h.upcall[2] = img->h.upcall[1]; memset(&img->h.upcall[1], 0, sizeof(img->h.upcall[1])));
	BAD(img->h.upcall[15].by = 1);
#undef BAD
#undef AT
}

static void test_digest(void **state)
{
	char hex[65], buf[200];
	struct warder_image *img;

	(void)state;
	sha256_hex("", 0, hex);
	assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	sha256_hex("abc", 3, hex);
	assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, hex);
	assert_string_equal(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
	memset(buf, 'a', sizeof(buf));
	sha256_hex(buf, 64, hex);
	assert_string_equal(hex, "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb");
	img = good(image_text);
	image_digest(img, hex);
	assert_int_equal(strlen(hex), 64);
	free(img);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bit_flips),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_digest),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
