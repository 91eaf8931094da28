//! PCI functions and links in sysfs: VFs of a PF, drivers, attributes, links stacked on a link.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use podbond_names::{LinkName, PciAddress};

use crate::{Error, Result};

/// The first four digits of the class of an Ethernet controller, of an InfiniBand controller, and of a
/// network controller of no finer class (some cards show VFs so).
const NETWORK_CLASSES: [&str; 3] = ["0x0200", "0x0207", "0x0280"];

/// The bytes of the smallest page there is: `PAGE_SIZE`.
const PAGE: usize = 4096;

/// The part of sysfs about PCI functions and links, under a root that tests may choose.
#[derive(Debug, Clone)]
pub struct Sysfs {
    root: PathBuf,
}

impl Sysfs {
    /// Returns sysfs mounted at `root`, normally `/sys`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Returns every PCI function of class network controller (0x0200, 0x0207 and 0x0280), in order
    /// of address.
    pub fn network_functions(&self) -> Result<Vec<PciAddress>> {
        let mut functions = Vec::new();
        for name in list(&self.bus().join("devices"))? {
            let Ok(pci) = name.parse() else { continue };
            let class = self.attribute(pci, "class")?.unwrap_or_default();
            if NETWORK_CLASSES.iter().any(|prefix| class.starts_with(prefix)) {
                functions.push(pci);
            }
        }
        functions.sort();
        Ok(functions)
    }

    /// Returns the PF of a VF: where `physfn` points. None for a function that is not a VF, or is
    /// not there.
    pub fn pf_of(&self, vf: PciAddress) -> Result<Option<PciAddress>> {
        Ok(target(&self.device(vf).join("physfn"))?.and_then(|name| name.parse().ok()))
    }

    /// Returns the VFs of a PF with their index, from its `virtfn<index>` links, in order of index.
    pub fn vfs_of(&self, pf: PciAddress) -> Result<Vec<(u16, PciAddress)>> {
        let device = self.device(pf);
        let mut vfs = Vec::new();
        for name in list(&device)? {
            let index = name.strip_prefix("virtfn").and_then(|index| index.parse().ok());
            let Some(index) = index else { continue };
            let vf = target(&device.join(&name))?.and_then(|name| name.parse().ok());
            vfs.extend(vf.map(|vf| (index, vf)));
        }
        vfs.sort();
        Ok(vfs)
    }

    /// Returns the index of a VF of this PF; none for a function that is not a VF of it.
    ///
    /// The kernel's own numbers say where to look, however many VFs there are: the routing ID of VF
    /// n is the PF's plus `sriov_offset` plus n times `sriov_stride` (PCI Express base
    /// specification, section 9.2.1.2). Without them all are looked at.
    pub fn vf_index(&self, pf: PciAddress, vf: PciAddress) -> Result<Option<u16>> {
        if let Some(index) = self.expected_index(pf, vf)? {
            let function = target(&self.device(pf).join(format!("virtfn{index}")))?;
            if function.and_then(|name| name.parse().ok()) == Some(vf) {
                return Ok(Some(index));
            }
        }
        Ok(self.vfs_of(pf)?.into_iter().find(|(_, other)| *other == vf).map(|(index, _)| index))
    }

    fn expected_index(&self, pf: PciAddress, vf: PciAddress) -> Result<Option<u16>> {
        let Some(distance) = vf.offset_from(pf) else { return Ok(None) };
        let Some(offset) = self.number(pf, "sriov_offset")? else { return Ok(None) };
        let Some(past_first) = distance.checked_sub(offset) else { return Ok(None) };
        // A PF that can have but one VF may show a stride of 0.
        let stride = self.number(pf, "sriov_stride")?.map(|stride| stride.max(1));
        let stride = stride.filter(|stride| past_first.is_multiple_of(*stride));
        Ok(stride.map(|stride| past_first / stride))
    }

    fn number(&self, pci: PciAddress, name: &str) -> Result<Option<u16>> {
        Ok(self.attribute(pci, name)?.and_then(|text| text.parse().ok()))
    }

    /// Returns the name of the driver bound to a function.
    pub fn driver(&self, pci: PciAddress) -> Result<Option<String>> {
        target(&self.device(pci).join("driver"))
    }

    /// Returns the names of a function's links in this namespace: none while the link is in a
    /// pod's.
    pub fn links_of(&self, pci: PciAddress) -> Result<Vec<LinkName>> {
        let mut links: Vec<LinkName> = list(&self.device(pci).join("net"))?
            .iter()
            .filter_map(|name| name.parse().ok())
            .collect();
        links.sort();
        Ok(links)
    }

    /// Returns the name of a function's own link in this namespace. In switchdev mode a PF has beside its
    /// uplink a representor for each of its VFs; those are not the PF's. Of several links that are no
    /// representors, as of a card with one function for two ports, the first by name.
    pub fn link_of(&self, pci: PciAddress) -> Result<Option<LinkName>> {
        let links = self.links_of(pci)?.into_iter().filter_map(|link| {
            // A driver without port names answers with an error.
            let port = self.attribute(pci, &format!("net/{link}/phys_port_name")).ok().flatten();
            Some((place_of_port(port.as_deref())?, link))
        });
        Ok(links.min().map(|(_, link)| link))
    }

    /// Returns the links that are stacked on a link (its `upper_<name>` links): the bond or bridge
    /// that it is a port of, its VLANs, and the like, as far as they are in this namespace. An
    /// error where sysfs does not show the link: it must not be taken for one that nothing is
    /// stacked on.
    pub fn uppers_of(&self, link: &LinkName) -> Result<Vec<LinkName>> {
        let path = self.link(link);
        if let Err(source) = fs::metadata(&path) {
            return Err(Error::File { action: "read", path, source });
        }
        let mut uppers: Vec<LinkName> = list(&path)?
            .iter()
            .filter_map(|name| name.strip_prefix("upper_")?.parse().ok())
            .collect();
        uppers.sort();
        Ok(uppers)
    }

    /// Returns the PCI function of a link; none for a link without a device, or with one on another bus.
    pub fn function_of(&self, link: &LinkName) -> Result<Option<PciAddress>> {
        Ok(target(&self.link(link).join("device"))?.and_then(|name| name.parse().ok()))
    }

    /// Returns the name of the driver of a link's device, on any bus; none for a link without a
    /// device.
    pub fn driver_of(&self, link: &LinkName) -> Result<Option<String>> {
        target(&self.link(link).join("device/driver"))
    }

    /// Returns one attribute of a function (`vendor`, `device`, `sriov_totalvfs`, …), without white
    /// space at its ends; none where the function has no such attribute.
    pub fn attribute(&self, pci: PciAddress, name: &str) -> Result<Option<String>> {
        read_attribute(self.device(pci).join(name), is_absent)
    }

    /// Returns one attribute of a link; none where there is no such link, or it is down and the
    /// kernel therefore refuses to show it.
    pub(crate) fn attribute_of_link(&self, link: &LinkName, name: &str) -> Result<Option<String>> {
        read_attribute(self.link(link).join(name), |error| {
            is_absent(error) || error.kind() == io::ErrorKind::InvalidInput
        })
    }

    /// Returns the directory of a link.
    fn link(&self, name: &LinkName) -> PathBuf {
        self.root.join("class/net").join(name.as_str())
    }

    /// Returns the directory of a function.
    pub(crate) fn device(&self, pci: PciAddress) -> PathBuf {
        self.bus().join("devices").join(pci.to_string())
    }

    /// Returns the directory of the PCI bus.
    pub(crate) fn bus(&self) -> PathBuf {
        self.root.join("bus/pci")
    }
}

/// Returns the place of a link among those of its function, by its `phys_port_name`: before all others
/// the uplink, `p0` or `p0s1` where a port is split; none for a representor, `pf0vf1`, `pf0sf88`, `c1pf0`.
fn place_of_port(port: Option<&str>) -> Option<u8> {
    let Some(port) = port else { return Some(1) };
    let starts_with_number = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    if port.strip_prefix('p').is_some_and(starts_with_number) {
        return Some(0);
    }
    // The number of the controller comes first where there are several.
    let of_controller = port.strip_prefix('c').filter(|rest| starts_with_number(rest));
    let port =
        of_controller.map_or(port, |rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
    let is_representor = port.strip_prefix("pf").is_some_and(starts_with_number);
    (!is_representor).then_some(1)
}

/// Reads an attribute; none where `is_none` says that the error means so.
fn read_attribute(path: PathBuf, is_none: fn(&io::Error) -> bool) -> Result<Option<String>> {
    match read(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if is_none(&error) => Ok(None),
        Err(source) => Err(Error::File { action: "read", path, source }),
    }
}

/// Reads an attribute, or a value of procfs, without white space at its ends. The first read(2)
/// gives all of it, as the kernel keeps it in one page.
pub(crate) fn read(path: &Path) -> io::Result<String> {
    let mut page = [0; PAGE];
    let length = io::Read::read(&mut fs::File::open(path)?, &mut page)?;
    let text = str::from_utf8(&page[..length]);
    text.map(|text| text.trim().to_owned()).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Writes to a file of sysfs or procfs, which must be there.
pub(crate) fn write(path: PathBuf, text: &str) -> Result<()> {
    fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()))
        .map_err(|source| Error::File { action: "write", path, source })
}

/// Returns whether the file, or the function with its whole directory, is not there.
fn is_absent(error: &io::Error) -> bool {
    const ENODEV: i32 = 19;
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(ENODEV)
}

/// Returns the names in a directory; empty when it is not there.
fn list(path: &Path) -> Result<Vec<String>> {
    let wrong = |source| Error::File { action: "read", path: path.to_owned(), source };
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(wrong(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.map_err(wrong)?.file_name().into_string().ok());
    }
    Ok(names)
}

/// Returns the last component of where a symbolic link points; none when it is not there.
fn target(path: &Path) -> Result<Option<String>> {
    match fs::read_link(path) {
        Ok(target) => Ok(target.file_name().and_then(|name| name.to_str()).map(str::to_owned)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(source) => Err(Error::File { action: "read", path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const PF: &str = "0000:03:00.0";
    const VF0: &str = "0000:03:10.0";
    const VF10: &str = "0000:03:11.2";
    const IB_PF: &str = "0000:05:00.0";

    fn pci(text: &str) -> PciAddress {
        text.parse().unwrap()
    }

    /// A PF with two of its VFs, and a function that is no network controller.
    fn tree() -> (tempfile::TempDir, Sysfs) {
        let root = tempfile::tempdir().unwrap();
        let devices = root.path().join("bus/pci/devices");
        let file = |path: &str, text: &str| {
            let path = devices.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        file("0000:03:00.0/class", "0x020000\n");
        file("0000:03:00.0/sriov_totalvfs", "7\n");
        file("0000:03:00.0/net/ens1f0/mtu", "1500\n");
        file("0000:03:10.0/class", "0x020000\n");
        file("0000:03:11.2/class", "0x028000\n");
        file("0000:00:1f.2/class", "0x010601\n");
        file("0000:05:00.0/class", "0x020700\n");
        for (link, to) in [
            ("0000:03:00.0/virtfn10", "../0000:03:11.2"),
            ("0000:03:00.0/virtfn0", "../0000:03:10.0"),
            ("0000:03:10.0/physfn", "../0000:03:00.0"),
            ("0000:03:11.2/physfn", "../0000:03:00.0"),
            ("0000:03:10.0/driver", "../../../../bus/pci/drivers/igbvf"),
        ] {
            symlink(to, devices.join(link)).unwrap();
        }
        let sysfs = Sysfs::new(root.path());
        (root, sysfs)
    }

    #[test]
    fn network_functions_are_found_by_class() {
        let (_root, sysfs) = tree();
        assert_eq!(sysfs.network_functions().unwrap(), [pci(PF), pci(VF0), pci(VF10), pci(IB_PF)]);
    }

    #[test]
    fn uplink_is_the_link_of_a_pf_in_switchdev_mode() {
        let (root, sysfs) = tree();
        let net = root.path().join("bus/pci/devices").join(PF).join("net");
        let link_of = || sysfs.link_of(pci(PF)).unwrap().map(|link| link.to_string());
        let port = |link: &str, name: &str| {
            fs::create_dir_all(net.join(link)).unwrap();
            fs::write(net.join(link).join("phys_port_name"), format!("{name}\n")).unwrap();
        };
        assert_eq!(link_of().as_deref(), Some("ens1f0"));
        // All of them sort before the uplink.
        for (link, name) in [("e0", "pf0vf0"), ("e1", "pf0sf88"), ("e2", "c1pf0vf2"), ("e3", "pf1")]
        {
            port(link, name);
        }
        assert_eq!(link_of().as_deref(), Some("ens1f0"));
        port("ens1f0", "p0");
        // Some driver's name, of which nobody knows what it means.
        port("a0", "wan");
        assert_eq!(link_of().as_deref(), Some("ens1f0"));
        port("ens1f0", "p0s1");
        assert_eq!(link_of().as_deref(), Some("ens1f0"));
        // A pod has the uplink.
        fs::remove_dir_all(net.join("ens1f0")).unwrap();
        fs::remove_dir_all(net.join("a0")).unwrap();
        assert_eq!(link_of(), None);
    }

    #[test]
    fn vfs_are_in_order_of_index() {
        let (_root, sysfs) = tree();
        assert_eq!(sysfs.vfs_of(pci(PF)).unwrap(), [(0, pci(VF0)), (10, pci(VF10))]);
        assert_eq!(sysfs.pf_of(pci(VF10)).unwrap(), Some(pci(PF)));
        assert_eq!(sysfs.pf_of(pci(PF)).unwrap(), None);
    }

    #[test]
    fn vf_index_is_found_with_and_without_offset() {
        let (root, sysfs) = tree();
        let index = |pf, vf| sysfs.vf_index(pci(pf), pci(vf)).unwrap();
        let all = || [index(PF, VF0), index(PF, VF10), index(PF, PF), index(VF0, VF10)];
        assert_eq!(all(), [Some(0), Some(10), None, None]);
        // VF n is 0x80 + n routing IDs on: 0000:03:10.0 is the first, 0000:03:11.2 the eleventh.
        let device = root.path().join("bus/pci/devices").join(PF);
        for (name, number) in [("sriov_offset", "128"), ("sriov_stride", "1")] {
            fs::write(device.join(name), format!("{number}\n")).unwrap();
        }
        assert_eq!(all(), [Some(0), Some(10), None, None]);
        // Only where they point is looked then.
        fs::rename(device.join("virtfn0"), device.join("moved0")).unwrap();
        assert_eq!(index(PF, VF10), Some(10));
        // What they say and no link confirms is not believed.
        fs::write(device.join("sriov_offset"), "138\n").unwrap();
        assert_eq!(index(PF, VF10), Some(10));
    }

    #[test]
    fn drivers_links_and_attributes_are_read() {
        let (_root, sysfs) = tree();
        assert_eq!(sysfs.driver(pci(VF0)).unwrap().as_deref(), Some("igbvf"));
        assert_eq!(sysfs.driver(pci(VF10)).unwrap(), None);
        assert_eq!(sysfs.links_of(pci(PF)).unwrap(), ["ens1f0".parse().unwrap()]);
        assert_eq!(sysfs.links_of(pci(VF0)).unwrap(), []);
        assert_eq!(sysfs.attribute(pci(PF), "sriov_totalvfs").unwrap().as_deref(), Some("7"));
        assert_eq!(sysfs.attribute(pci(VF0), "sriov_totalvfs").unwrap(), None);
    }

    #[test]
    fn uppers_and_driver_of_a_link_are_read() {
        let (root, sysfs) = tree();
        let link = root.path().join("class/net/ens1f0");
        fs::create_dir_all(link.join("device")).unwrap();
        symlink("../../../bus/pci/drivers/igb", link.join("device/driver")).unwrap();
        for upper in ["upper_ens1f0.7", "upper_bond0", "lower_other", "uppercase"] {
            symlink("../elsewhere", link.join(upper)).unwrap();
        }
        fs::create_dir_all(root.path().join("class/net/bare0")).unwrap();
        assert_eq!(sysfs.uppers_of(&"bare0".parse().unwrap()).unwrap(), []);
        let (name, other) = ("ens1f0".parse().unwrap(), "dummy0".parse().unwrap());
        let uppers = ["bond0", "ens1f0.7"].map(|name| name.parse().unwrap());
        assert_eq!(sysfs.uppers_of(&name).unwrap(), uppers);
        assert_eq!(sysfs.driver_of(&name).unwrap().as_deref(), Some("igb"));
        assert!(matches!(sysfs.uppers_of(&other), Err(Error::File { .. })));
        assert_eq!(sysfs.driver_of(&other).unwrap(), None);
    }

    #[test]
    fn absent_function_has_nothing() {
        let (_root, sysfs) = tree();
        let gone = pci("0000:7f:00.0");
        assert_eq!(sysfs.pf_of(gone).unwrap(), None);
        assert_eq!(sysfs.vfs_of(gone).unwrap(), []);
        assert_eq!(sysfs.driver(gone).unwrap(), None);
        assert_eq!(sysfs.attribute(gone, "vendor").unwrap(), None);
    }
}
