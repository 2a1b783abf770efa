/* Ethernet frames with a VLAN tag (IEEE 802.1Q): what --vlan asks for. */
#include "test/script/world.h"

#define OURS 7

static struct world begin_tagged(uint16_t vlan)
{
    struct world w = {0};
    w.sim = sim_new(1, NULL, NULL);
    w.host = sim_add_host(w.sim, &(struct sim_host_options){.kind = SIM_STACK, .vlan = vlan});
    w.peer = sim_add_host(w.sim, &(struct sim_host_options){.kind = SIM_PUPPET});
    w.v4 = ends_of(w.host, w.peer, false);
    settle(&w);
    return w;
}

/* As it was, with a tag between the addresses and the type. */
static void tag(struct frame *f, uint16_t tci)
{
    be16 words[2] = {be16_put(ETHERTYPE_VLAN), be16_put(tci)};
    memmove(f->bytes + 16, f->bytes + 12, f->length - 12);
    memcpy(f->bytes + 12, words, 4);
    f->length += 4;
}

/* What comes back, its tag taken off. */
static struct sim_frame hear_tagged(struct world *w, uint16_t type)
{
    struct sim_frame f = hear(w, ETHERTYPE_VLAN);
    assert_int_equal(f.bytes[14] << 8 | f.bytes[15], OURS);
    memmove(f.bytes + 12, f.bytes + 16, f.length_bytes - 16);
    f.length_bytes -= 4;
    assert_true(is_type(&f, type));
    return f;
}

static void say_ping(struct world *w, bool is_tagged, uint16_t tci)
{
    uint8_t message[64];
    struct frame f;
    frame_ip(&f, &w->v4, IP_ICMP, message, icmp_echo(message, &w->v4, 1, 32));
    if (is_tagged)
        tag(&f, tci);
    say(w, &f);
}

static void frames_of_our_vlan_are_answered_with_its_tag(void **state)
{
    struct world w = begin_tagged(OURS);
    struct frame f;
    (void)state;
    frame_arp(&f, ARP_REQUEST, &w.v4);
    tag(&f, OURS);
    say(&w, &f);
    hear_tagged(&w, ETHERTYPE_ARP);
    say_ping(&w, true, OURS);
    struct sim_frame got = hear_tagged(&w, ETHERTYPE_IPV4);
    assert_int_equal(((const struct icmp_header *)payload_of(&got))->type, ICMP_ECHO_REPLY);
    assert_int_equal(got.length_bytes, 14 + 20 + 8 + 32);
    say_ping(&w, true, 5 << 13 | OURS); /* a priority changes nothing */
    hear_tagged(&w, ETHERTYPE_IPV4);
    end(&w);
}

static void frames_of_other_vlans_and_of_none_are_dropped(void **state)
{
    struct world w = begin_tagged(OURS);
    struct frame f;
    (void)state;
    say_ping(&w, true, OURS + 1);
    say_ping(&w, true, 0);
    say_ping(&w, false, 0);
    frame_eth(&f, &w.v4, ETHERTYPE_VLAN); /* cut off within the tag */
    memset(f.bytes + f.length, 0, 3);
    f.length += 3;
    say(&w, &f);
    silence(&w);
    assert_int_equal(dropped(&w, STACK_DROP_LINK_VLAN), 4);
    end(&w);
}

static void without_a_vlan_only_priority_tags_are_taken(void **state)
{
    struct world w = begin_tagged(0);
    (void)state;
    introduce(&w);
    say_ping(&w, true, 3 << 13);
    hear(&w, ETHERTYPE_IPV4);
    say_ping(&w, true, OURS);
    silence(&w);
    assert_int_equal(dropped(&w, STACK_DROP_LINK_VLAN), 1);
    end(&w);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_of_our_vlan_are_answered_with_its_tag),
        cmocka_unit_test(frames_of_other_vlans_and_of_none_are_dropped),
        cmocka_unit_test(without_a_vlan_only_priority_tags_are_taken),
    };
    return run_scripts(tests, argc, argv);
}
