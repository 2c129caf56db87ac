// SPDX-License-Identifier: GPL-2.0-only
/*
 * nicsim: a cable with a network card at each end, nicsim0 and nicsim1, that
 * offload TLS 1.2. It is for tests of programs: no hardware has it. Sending,
 * the card encrypts in software what the kernel hands it in the clear.
 * Receiving, it "has decrypted" what the other end left in the clear, if
 * "passthrough" is set. Each end belongs in a network namespace of its own.
 */
#include <linux/etherdevice.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <linux/spinlock.h>
#include <linux/version.h>
#include <net/tcp.h>
#include <net/tls.h>

enum { ENDS = 2 };

enum counter {
	TX_ADDED,
	TX_REMOVED,
	RX_ADDED,
	RX_REMOVED,
	REFUSED,
	RESYNC,
	ENCRYPTED,
	CLEAR,
	FAILED,
	DATA,
	DROPPED,
	COUNTERS
};

static const char *const names[COUNTERS] = {
	[TX_ADDED] = "tx_added",   [TX_REMOVED] = "tx_removed",
	[RX_ADDED] = "rx_added",   [RX_REMOVED] = "rx_removed",
	[REFUSED] = "refused",	   [RESYNC] = "resync",
	[ENCRYPTED] = "encrypted", [CLEAR] = "clear",
	[FAILED] = "failed",	   [DATA] = "data",
	[DROPPED] = "dropped",
};

static unsigned int loss;
module_param(loss, uint, 0644);
MODULE_PARM_DESC(loss, "drop one of so many packets with data; 0: none");

static unsigned int refuse;
module_param(refuse, uint, 0644);
MODULE_PARM_DESC(refuse, "refuse the keys of so many directions to come");

static bool passthrough;
module_param(passthrough, bool, 0644);
MODULE_PARM_DESC(passthrough, "send in the clear what the peer is to have "
			      "decrypted");

static DEFINE_SPINLOCK(refuse_lock);
static struct net_device *ends[ENDS];

struct end {
	struct net_device *peer;
	unsigned int nr;
};

/* Outside the devices: they may be read while those come and go. */
static atomic_long_t counters[ENDS][COUNTERS];

static void count(const struct net_device *dev, enum counter what)
{
	const struct end *end = netdev_priv(dev);

	atomic_long_inc(&counters[end->nr][what]);
}

static int show_counters(char *buf, const struct kernel_param *kp)
{
	const atomic_long_t *of = kp->arg;
	int n = 0;

	for (unsigned int i = 0; i < COUNTERS; i++)
		n += scnprintf(buf + n, PAGE_SIZE - n, "%s %ld\n", names[i],
			       atomic_long_read(&of[i]));
	return n;
}

static const struct kernel_param_ops counters_ops = {.get = show_counters};
module_param_cb(nicsim0, &counters_ops, counters[0], 0444);
MODULE_PARM_DESC(nicsim0, "what happened at this end: names and numbers");
module_param_cb(nicsim1, &counters_ops, counters[1], 0444);
MODULE_PARM_DESC(nicsim1, "what happened at this end: names and numbers");

static bool refused(void)
{
	bool yes;

	spin_lock(&refuse_lock);
	yes = refuse > 0;
	if (yes)
		refuse--;
	spin_unlock(&refuse_lock);
	return yes;
}

static int nicsim_tls_add(struct net_device *dev, struct sock *sk,
			  enum tls_offload_ctx_dir dir,
			  struct tls_crypto_info *info, u32 seq)
{
	/* for sending, the kernel itself asks for no others */
	if (info->version != TLS_1_2_VERSION ||
	    (info->cipher_type != TLS_CIPHER_AES_GCM_128 &&
	     info->cipher_type != TLS_CIPHER_AES_GCM_256))
		return -EOPNOTSUPP;
	if (refused()) {
		count(dev, REFUSED);
		return -EOPNOTSUPP;
	}
	count(dev, dir == TLS_OFFLOAD_CTX_DIR_TX ? TX_ADDED : RX_ADDED);
	return 0;
}

static void nicsim_tls_del(struct net_device *dev, struct tls_context *ctx,
			   enum tls_offload_ctx_dir dir)
{
	count(dev, dir == TLS_OFFLOAD_CTX_DIR_TX ? TX_REMOVED : RX_REMOVED);
}

static int nicsim_tls_resync(struct net_device *dev, struct sock *sk, u32 seq,
			     u8 *record, enum tls_offload_ctx_dir dir)
{
	count(dev, RESYNC);
	return 0;
}

static const struct tlsdev_ops nicsim_tls_ops = {
	.tls_dev_add = nicsim_tls_add,
	.tls_dev_del = nicsim_tls_del,
	.tls_dev_resync = nicsim_tls_resync,
};

/* TCP with bytes behind the headers */
static bool has_data(const struct sk_buff *skb)
{
	const bool tcp = (skb->protocol == htons(ETH_P_IP) &&
			  ip_hdr(skb)->protocol == IPPROTO_TCP) ||
			 (skb->protocol == htons(ETH_P_IPV6) &&
			  ipv6_hdr(skb)->nexthdr == IPPROTO_TCP);

	return tcp && skb->len > skb_tcp_all_headers(skb);
}

static bool offloaded(const struct sk_buff *skb)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
	return tls_is_skb_tx_device_offloaded(skb);
#else
	return skb->sk && tls_is_sk_tx_device_offloaded(skb->sk);
#endif
}

/*
 * Tags are the card's to make; the kernel leaves room for them. Copies them
 * from the ciphertext of the same packet, which starts at seq of the stream.
 */
static void copy_tags(struct tls_offload_context_tx *ctx, u32 seq,
		      const struct sk_buff *cipher, struct sk_buff *clear)
{
	const int head = skb_tcp_all_headers(clear);
	const u32 start = seq, end = seq + clear->len - head;
	unsigned long flags;
	u64 number;

	spin_lock_irqsave(&ctx->lock, flags);
	while (before(seq, end)) {
		struct tls_record_info *r = tls_get_record(ctx, seq, &number);
		u32 tag;

		if (!r || tls_record_is_start_marker(r))
			break;
		tag = r->end_seq - TLS_CIPHER_AES_GCM_128_TAG_SIZE;
		if (before(tag, seq))
			tag = seq;
		seq = before(end, r->end_seq) ? end : r->end_seq;
		if (before(tag, seq))
			skb_copy_bits(cipher, head + tag - start,
				      clear->data + head + tag - start,
				      seq - tag);
	}
	spin_unlock_irqrestore(&ctx->lock, flags);
}

/* Of each packet with data; NULL: it is gone. */
static struct sk_buff *encrypt(struct sk_buff *skb, const struct net_device *dev)
{
	struct tls_offload_context_tx *ctx =
		tls_offload_ctx_tx(tls_get_ctx(skb->sk));
	const u32 seq = ntohl(tcp_hdr(skb)->seq);
	struct sk_buff *clear = NULL;

	if (passthrough && skb->decrypted) {
		clear = skb_copy(skb, GFP_ATOMIC);
		if (!clear) {
			count(dev, FAILED);
			kfree_skb(skb);
			return NULL;
		}
	}
	/* frees what it is given if it makes another one or fails */
	skb = tls_encrypt_skb(skb);
	if (!skb) {
		count(dev, FAILED);
		kfree_skb(clear);
		return NULL;
	}
	if (clear) {
		count(dev, CLEAR);
		copy_tags(ctx, seq, skb, clear);
		consume_skb(skb);
		return clear;
	}
	/* it leaves itself as its own list */
	skb->prev = NULL;
	skb->decrypted = 0;
	count(dev, ENCRYPTED);
	return skb;
}

/* What the kernel has encrypted for a NIC that went keeps the mark. */
static struct sk_buff *not_mine(struct sk_buff *skb)
{
	skb->decrypted = 0;
	return skb;
}

static bool lost(const struct net_device *dev)
{
	const struct end *end = netdev_priv(dev);
	const unsigned int each = READ_ONCE(loss);
	const long n = atomic_long_inc_return(&counters[end->nr][DATA]);

	if (!each || n % each)
		return false;
	count(dev, DROPPED);
	return true;
}

static netdev_tx_t nicsim_xmit(struct sk_buff *skb, struct net_device *dev)
{
	const struct end *end = netdev_priv(dev);

	if (has_data(skb)) {
		skb = offloaded(skb) ? encrypt(skb, dev) : not_mine(skb);
		if (!skb)
			return NETDEV_TX_OK;
		if (lost(dev)) {
			kfree_skb(skb);
			return NETDEV_TX_OK;
		}
	}
	skb_tx_timestamp(skb);
	/* frees it whatever becomes of it */
	dev_forward_skb(end->peer, skb);
	return NETDEV_TX_OK;
}

static int nicsim_open(struct net_device *dev)
{
	netif_carrier_on(dev);
	netif_start_queue(dev);
	return 0;
}

static int nicsim_stop(struct net_device *dev)
{
	netif_stop_queue(dev);
	netif_carrier_off(dev);
	return 0;
}

static const struct net_device_ops nicsim_ops = {
	.ndo_open = nicsim_open,
	.ndo_stop = nicsim_stop,
	.ndo_start_xmit = nicsim_xmit,
	.ndo_validate_addr = eth_validate_addr,
	.ndo_set_mac_address = eth_mac_addr,
};

static void nicsim_setup(struct net_device *dev)
{
	ether_setup(dev);
	dev->netdev_ops = &nicsim_ops;
	dev->tlsdev_ops = &nicsim_tls_ops;
	dev->priv_flags |= IFF_LIVE_ADDR_CHANGE | IFF_NO_QUEUE;
	/* the kernel has TLS offload depend on checksums */
	dev->features = NETIF_F_SG | NETIF_F_HW_CSUM | NETIF_F_RXCSUM |
			NETIF_F_HIGHDMA | NETIF_F_HW_TLS_TX | NETIF_F_HW_TLS_RX;
	/* off until ethtool(8) says otherwise */
	dev->hw_features = dev->features | NETIF_F_TSO | NETIF_F_TSO6;
	dev->min_mtu = ETH_MIN_MTU;
	dev->max_mtu = ETH_MAX_MTU;
	eth_hw_addr_random(dev);
}

static void free_ends(void)
{
	for (unsigned int i = 0; i < ENDS; i++)
		if (ends[i])
			free_netdev(ends[i]);
}

static int __init nicsim_init(void)
{
	int err = -ENOMEM;

	for (unsigned int i = 0; i < ENDS; i++) {
		ends[i] = alloc_netdev(sizeof(struct end), "nicsim%d",
				       NET_NAME_ENUM, nicsim_setup);
		if (!ends[i])
			goto out;
		((struct end *)netdev_priv(ends[i]))->nr = i;
	}
	for (unsigned int i = 0; i < ENDS; i++)
		((struct end *)netdev_priv(ends[i]))->peer = ends[!i];
	err = register_netdev(ends[0]);
	if (err)
		goto out;
	err = register_netdev(ends[1]);
	if (!err)
		return 0;
	unregister_netdev(ends[0]);
out:
	free_ends();
	return err;
}

/* Neither is freed before both are down: each may be sending to the other. */
static void __exit nicsim_exit(void)
{
	for (unsigned int i = 0; i < ENDS; i++)
		unregister_netdev(ends[i]);
	free_ends();
}

module_init(nicsim_init);
module_exit(nicsim_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("two network cards, joined, that offload TLS in software");
