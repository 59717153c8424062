//! Sorting of which only a part is wanted.
//!
//! Elements that compare equal come out in an order that depends on the algorithm, and clients see
//! it: so it is the one that Redis uses, the quicksort of Bentley and McIlroy ("Engineering a Sort
//! Function", 1993), left out where nothing is wanted.

use core::cmp::Ordering;
use core::ops::Range;

/// Fewer are sorted by insertion.
const FEW: usize = 7;
/// Of more, the pivot is the median of three medians.
const MANY: usize = 40;

/// Sorts so far that the elements of a range, which has some, are those that it would have if all
/// were sorted. `compare` orders elements totally.
pub fn sort_part<T>(
    mut items: &mut [T],
    wanted: Range<usize>,
    compare: &impl Fn(&T, &T) -> Ordering,
) {
    let (mut start, mut end) = (wanted.start as isize, wanted.end as isize);
    while items.len() >= FEW {
        let pivot = choose(items, compare);
        items.swap(0, pivot);
        let (less, greater) = partition(items, compare);
        let len = items.len();
        if less > 1 && start < less as isize {
            sort_part(&mut items[..less], start.max(0) as usize..end.max(0) as usize, compare);
        }
        let first = len - greater;
        if greater <= 1 || end <= first as isize {
            return;
        }
        items = &mut items[first..];
        (start, end) = (start - first as isize, end - first as isize);
    }
    insert(items, compare);
}

fn insert<T>(items: &mut [T], compare: &impl Fn(&T, &T) -> Ordering) {
    for next in 1..items.len() {
        let mut at = next;
        while at > 0 && compare(&items[at - 1], &items[at]).is_gt() {
            items.swap(at - 1, at);
            at -= 1;
        }
    }
}

/// The index of the element to divide the others by.
fn choose<T>(items: &[T], compare: &impl Fn(&T, &T) -> Ordering) -> usize {
    let (len, middle) = (items.len(), items.len() / 2);
    if len == FEW {
        return middle;
    }
    let median = |indices| median(items, indices, compare);
    if len <= MANY {
        return median([0, middle, len - 1]);
    }
    let step = len / 8;
    let first = median([0, step, 2 * step]);
    let second = median([middle - step, middle, middle + step]);
    median([first, second, median([len - 1 - 2 * step, len - 1 - step, len - 1])])
}

fn median<T>(items: &[T], [a, b, c]: [usize; 3], compare: &impl Fn(&T, &T) -> Ordering) -> usize {
    let order = |x: usize, y: usize| compare(&items[x], &items[y]);
    if order(a, b).is_lt() {
        return match order(b, c) {
            Ordering::Less => b,
            _ if order(a, c).is_lt() => c,
            _ => a,
        };
    }
    match order(b, c) {
        Ordering::Greater => b,
        _ if order(a, c).is_lt() => a,
        _ => c,
    }
}

/// Divides elements by the first: how many are less, which are at the start then, and how many
/// greater, which are at the end.
///
/// Equal ones are put by at both ends until all have been looked at.
fn partition<T>(items: &mut [T], compare: &impl Fn(&T, &T) -> Ordering) -> (usize, usize) {
    let len = items.len();
    // Equal: ..equal and behind end. Less: equal..low. Not yet looked at: low..high.
    let (mut equal, mut low, mut high, mut end) = (1, 1, len, len);
    loop {
        while low < high {
            match compare(&items[low], &items[0]) {
                Ordering::Greater => break,
                Ordering::Less => {}
                Ordering::Equal => {
                    items.swap(equal, low);
                    equal += 1;
                }
            }
            low += 1;
        }
        while low < high {
            match compare(&items[high - 1], &items[0]) {
                Ordering::Less => break,
                Ordering::Greater => {}
                Ordering::Equal => {
                    items.swap(high - 1, end - 1);
                    end -= 1;
                }
            }
            high -= 1;
        }
        if low >= high {
            break;
        }
        items.swap(low, high - 1);
        low += 1;
        high -= 1;
    }
    let (less, greater) = (low - equal, end - high);
    swap_ends(&mut items[..low], equal.min(less));
    swap_ends(&mut items[low..], greater.min(len - end));
    (less, greater)
}

/// Swaps the first elements with as many last ones.
fn swap_ends<T>(items: &mut [T], count: usize) {
    let behind = items.len() - count;
    (0..count).for_each(|at| items.swap(at, behind + at));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wanted_part_is_sorted() {
        let mut state = 1u32;
        let mut next = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % below
        };
        for round in 0..2000 {
            let len = 1 + next(if round % 10 == 0 { 300 } else { 60 }) as usize;
            let values = 1 + next(100);
            let items: Vec<u32> = (0..len).map(|_| next(values)).collect();
            let start = next(len as u32) as usize;
            let wanted = start..start + 1 + next((len - start) as u32) as usize;
            let (mut part, mut all) = (items.clone(), items);
            sort_part(&mut part, wanted.clone(), &u32::cmp);
            all.sort_unstable();
            assert_eq!(part[wanted.clone()], all[wanted]);
            part.sort_unstable();
            assert_eq!(part, all, "nothing is lost or doubled");
        }
    }

    #[test]
    fn equal_elements_come_out_as_in_redis() {
        // How far each is, in the order of adding, and who is told with `COUNT`.
        let check = |distances: &[u32], count, expect: &[usize]| {
            let mut items: Vec<_> = distances.iter().copied().enumerate().collect();
            sort_part(&mut items, 0..count, &|a, b| a.1.cmp(&b.1));
            let found: Vec<_> = items[..count].iter().map(|item| item.0).collect();
            assert_eq!(found, expect);
        };
        check(&[1, 0, 0, 0, 0, 0, 2, 2, 2, 2], 1, &[5]);
        check(&[3, 0, 0, 1, 1, 2, 2, 4], 6, &[1, 2, 3, 4, 6, 5]);
    }
}
