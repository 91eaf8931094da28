//! What `docs/bond-options.md` says beside the table: of all options, of the modes, and of options
//! between each other.

pub(super) const HEAD: &str = "\
# Bond options

Every key of a `bond` network's configuration. The options of the kernel's bonding driver are all
there, each under the kernel's own name in camelCase (`arp_missed_max` is `arpMissedMax`).

This page is made from the table from which podbond reads, checks and sends the options; `cargo
xtask docs` writes it, and [bond.schema.json](bond.schema.json), a JSON Schema of the same keys for
editors.

- **Spelling.** A number may be written as text (`\"100\"`), a name as the kernel's number (`1` for
  `active-backup`), a switch as `true`/`false`, `on`/`off` or `1`/`0`, addresses as a list or as text
  with commas.
- **Times** are in milliseconds. One is not: lpInterval is in seconds, as the kernel has it.
- **An option that is left out** keeps the driver's default; only miimon has its own.
- **Wrong values and combinations** are refused before anything is changed, all of them in one
  message. An option that the driver takes in any mode but uses only in some is a warning in the
  others; so is an unknown key. `\"strict\": true` refuses both.
- **Kernel** is the first release whose netlink interface takes the option. An older kernel
  acknowledges and ignores it: podbond reads each option back, and fails the ADD with the name of the
  option and of the kernel. Stable and vendors' kernels may have an option earlier, as Debian's
  6.1.0-50 has coupledControl and actorPortPrio: what counts is what the running one shows.
- **iproute2** is how `ip link` says it. A release of iproute2 knows the options of the kernel of its
  time: to a newer one it answers `unknown command`.
- **Live** says whether `ip link set` may change the option of a bond that exists. podbond itself sets
  all before the ports come, and changes nothing afterwards.
- **CHECK** compares every option that ADD set with what the kernel shows.

";

pub(super) const RULES: &str = "\
Refused, each with its reason:

- miimon beside arpInterval, where neither is 0, as in the kernel. Without both, miimon is 100.
- updelay, downdelay or peerNotifDelay without miimon, or not a multiple of it: the kernel would round
  them down.
- arpInterval without arpIpTarget or nsIp6Target; and these, arpValidate, arpAllTargets or
  arpMissedMax without arpInterval.
- A primary or activeSlave that is not one of the links.
- A queueId other than 0 that two links have.
- minLinks beyond the number of links.
- lacpStrict without minLinks.
- One option under two of its names with two values.
- mac in active-backup with failOverMac active: the driver gives the bond the active port's address,
  whatever it was given.
- vlanProto without vlan.

Taken, and to be known:

- miimon 0 without arpInterval: nothing is watched, nothing fails over.
- primary beside prio: the primary goes first, the priorities rule while it is down.
- balance-tlb and balance-alb over two links with the same MAC address, which the driver would refuse:
  the later gets a locally administered address for as long as the bond lives, with a warning.
- failOverMac none or follow, and the modes that give all ports one address, over VFs that are not
  trusted: a warning, and refused where the PF is known to refuse the address, unless allowUntrusted is set;
  always refused with strict.

";

/// Stands in the table of modes for what an option does in a mode.
pub(super) const LEGEND: &str = "\
● has an effect · ○ is taken without one, with a warning · blank: is refused

";

/// A mode in a line: what it does, and what it asks of the switch and of VFs.
pub(super) const MODES_AT_WORK: &str = "\
| mode | what it does | the switch | VFs |
|---|---|---|---|
| balance-rr (0) | Frames go out over the ports in turn. The one mode in which a single connection uses several ports; its frames may overtake each other. | a static link aggregation | trust |
| active-backup (1) | One port carries all traffic, the others wait. | nothing; the ports may lead to different switches | failOverMac active, or trust |
| balance-xor (2) | A hash of the frame chooses its port, by xmitHashPolicy. | a static link aggregation | trust |
| broadcast (3) | Every frame goes out over every port, for networks that are doubled on purpose. | a network of its own for each port, or a static link aggregation; receivers have to bear that frames come twice | trust |
| 802.3ad (4) | As balance-xor, over those ports that LACP finds to lead to one partner. | LACP; one switch, or several that act as one | trust; one such bond on a PF |
| balance-tlb (5) | Sends over the port with the least load; receives on the active port. | nothing | trust |
| balance-alb (6) | As balance-tlb, and receives IPv4 on all ports: it gives each neighbour another port's address by ARP. | nothing | trust |

In the modes that want a static link aggregation, one that is missing at the switch shows as loss and
as addresses that move between its ports. Over VFs, the aggregation has to hold on the ports of the
PFs, so all traffic of these PFs is in it.

";
