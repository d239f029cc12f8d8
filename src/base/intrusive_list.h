// SPDX-License-Identifier: GPL-3.0-or-later
//
// Doubly linked list through a member of the element: no allocation, O(1) removal from anywhere.
// An object's state is often the list it is on, so a node knows whether it is linked.
//
// Invariant: a node is on at most one list; an element is removed before it is destroyed
// (asserted); an element is erased from the list it is on (the caller knows which: that is its
// state).
#pragma once

#include <bit>
#include <cstddef>

#include "base/assert.h"

namespace trireme {

class ListNode {
 public:
  ListNode() = default;
  ~ListNode() { TRIREME_ASSERT(!linked()); }
  ListNode(const ListNode&) = delete;
  ListNode& operator=(const ListNode&) = delete;

  bool linked() const { return next_ != nullptr; }

 private:
  template <typename T, ListNode T::*kMember>
  friend class List;
  ListNode* next_ = nullptr;
  ListNode* previous_ = nullptr;
};

// List<Waiter, &Waiter::node> waiters;
template <typename T, ListNode T::*kMember>
class List {
 public:
  List() { head_.next_ = head_.previous_ = &head_; }
  ~List() {
    TRIREME_ASSERT(empty());
    head_.next_ = head_.previous_ = nullptr;
  }
  List(const List&) = delete;
  List& operator=(const List&) = delete;

  bool empty() const { return head_.next_ == &head_; }
  size_t count() const { return count_; }

  T* front() { return empty() ? nullptr : Owner(head_.next_); }
  T* back() { return empty() ? nullptr : Owner(head_.previous_); }
  // The element after `element`, or nullptr at the end. Erasing `element` afterwards is fine.
  T* next(T& element) {
    TRIREME_ASSERT((element.*kMember).linked());
    ListNode* node = (element.*kMember).next_;
    return node == &head_ ? nullptr : Owner(node);
  }
  // The element before `element`, or nullptr at the front.
  T* previous(T& element) {
    TRIREME_ASSERT((element.*kMember).linked());
    ListNode* node = (element.*kMember).previous_;
    return node == &head_ ? nullptr : Owner(node);
  }

  void PushBack(T& element) { Insert(element.*kMember, head_.previous_, &head_); }
  void PushFront(T& element) { Insert(element.*kMember, &head_, head_.next_); }
  void InsertBefore(T& next, T& element) {
    TRIREME_ASSERT((next.*kMember).linked());
    Insert(element.*kMember, (next.*kMember).previous_, &(next.*kMember));
  }

  void Erase(T& element) {
    ListNode& node = element.*kMember;
    TRIREME_ASSERT(node.linked() && count_ > 0);
    node.previous_->next_ = node.next_;
    node.next_->previous_ = node.previous_;
    node.next_ = node.previous_ = nullptr;
    --count_;
  }

  T* PopFront() {
    T* element = front();
    if (element != nullptr) Erase(*element);
    return element;
  }
  T* PopBack() {
    T* element = back();
    if (element != nullptr) Erase(*element);
    return element;
  }

 private:
  void Insert(ListNode& node, ListNode* before, ListNode* after) {
    TRIREME_ASSERT(!node.linked());
    node.previous_ = before;
    node.next_ = after;
    before->next_ = &node;
    after->previous_ = &node;
    ++count_;
  }

  // offsetof cannot take a member pointer. In the Itanium ABI a pointer to a data member is its
  // offset, which needs no object of T to measure.
  static T* Owner(ListNode* node) {
    static_assert(sizeof(kMember) == sizeof(ptrdiff_t));
    const auto offset = std::bit_cast<ptrdiff_t>(kMember);
    return reinterpret_cast<T*>(reinterpret_cast<std::byte*>(node) - offset);
  }

  ListNode head_;
  size_t count_ = 0;
};

}  // namespace trireme
